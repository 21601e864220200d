"""Is it better: datasets, experiments, runs, predictions and what they say of each end user."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Func, Q
from django.db.models.functions import Now

from training_app.models import BaseModel
from users_app.models import EndUser, Workspace


class Separation(models.TextChoices):
    USER = "user", "user-based: every question is its own user"
    TIME = "time", "time-based: users own several questions"


class Dataset(models.Model):
    """A named benchmark in one workspace; its content stands in the splits."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="datasets", db_index=False)
    name = models.SlugField(max_length=100)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    # From then on nothing is imported into it, no experiment uses it and a job deletes it: `eval_app.dataset_deletion`.
    deletion_requested_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["workspace", "name"], name="dataset_once_a_workspace")]

    def __str__(self) -> str:
        return self.name


class DatasetSplit(models.Model):
    """One task's train, dev or test questions at one version. A changed file makes the next version."""

    class Split(models.TextChoices):
        TRAIN = "train"
        DEV = "dev"
        TEST = "test"

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="splits", db_index=False)
    task = models.CharField(max_length=100)
    split = models.CharField(max_length=10, choices=Split)
    version = models.PositiveIntegerField()
    separation = models.CharField(max_length=10, choices=Separation)
    # sha256 over the digests of the question and output files.
    digest = models.CharField(max_length=64)
    questions_digest = models.CharField(max_length=64)
    outputs_digest = models.CharField(max_length=64, blank=True)
    question_count = models.PositiveIntegerField()
    end_user_count = models.PositiveIntegerField()
    document_count = models.PositiveIntegerField()
    entry_count = models.PositiveBigIntegerField()
    has_golds = models.BooleanField()
    # Whether each question has the oracle's answer.
    has_oracle = models.BooleanField(default=False)
    has_dates = models.BooleanField()
    imported_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["dataset", "task", "split", "version"], name="split_once_a_version"),
            models.UniqueConstraint(
                fields=["dataset", "task", "split", "separation", "digest"], name="split_once_a_content"
            ),
            models.CheckConstraint(condition=Q(split__in=["train", "dev", "test"]), name="split_is_known"),
            models.CheckConstraint(condition=Q(separation__in=["user", "time"]), name="split_separation_is_known"),
            models.CheckConstraint(condition=Q(version__gte=1), name="split_version_from_one"),
        ]

    def __str__(self) -> str:
        return f"{self.task} {self.split} v{self.version}"


class Upload(models.Model):
    """A file that a client puts into the object store, for an import to read it there.

    It is deleted with its object once it was imported, when it expires, or when the client says so.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="uploads")
    # By workspace and at random: the file's name stands in no address.
    object_key = models.CharField(max_length=100, unique=True, editable=False)
    name = models.CharField(max_length=255, help_text="What its owner calls it; messages about the file say it.")
    size = models.PositiveBigIntegerField(help_text="Bytes, as declared.")
    # In hex, as declared; empty where nothing was.
    sha256 = models.CharField(max_length=64, blank=True)
    # The import that reads it now, whose job's origin is "import:" and this; empty while none does.
    import_id = models.CharField(max_length=32, blank=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(name=""), name="upload_is_named"),
            models.CheckConstraint(condition=Q(size__gte=1), name="upload_is_not_empty"),
            models.CheckConstraint(
                condition=Q(sha256="") | Q(sha256__regex="^[0-9a-f]{64}$"), name="upload_sha256_is_hex"
            ),
        ]
        indexes = [
            models.Index(fields=["import_id"], condition=~Q(import_id=""), name="upload_by_import"),
        ]

    def __str__(self) -> str:
        return f"upload {self.pk}"


class Question(models.Model):
    """One question with its gold and its end user's profile as of then.

    `document_ids` and `entry_ids` are parallel and ordered as in the file, repetitions included.
    """

    split = models.ForeignKey(DatasetSplit, on_delete=models.CASCADE, related_name="questions", db_index=False)
    end_user = models.ForeignKey(EndUser, on_delete=models.CASCADE, related_name="questions", db_index=False)
    position = models.PositiveIntegerField()
    external_id = models.TextField()
    id_is_integer = models.BooleanField(default=False)
    input = models.TextField()
    gold = models.TextField(null=True, blank=True)
    # What one who knows the user's traits answers; known of a generated benchmark alone.
    oracle_answer = models.TextField(null=True, blank=True)
    document_ids = ArrayField(models.BigIntegerField())
    entry_ids = ArrayField(models.TextField())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["split", "external_id"], name="question_once_a_split"),
            models.UniqueConstraint(fields=["split", "position"], name="question_position_once"),
            models.CheckConstraint(
                condition=Q(
                    document_ids__len=Func(F("entry_ids"), function="cardinality", output_field=models.IntegerField())
                ),
                name="question_arrays_are_parallel",
            ),
        ]
        indexes = [models.Index(fields=["end_user", "split"], name="question_by_end_user")]

    def __str__(self) -> str:
        return f"question {self.pk}"


class Experiment(models.Model):
    """A comparison somebody asked for: which splits, which methods, on which base model."""

    class State(models.TextChoices):
        ACTIVE = "active"
        DONE = "done"
        FAILED = "failed"
        CANCELLED = "cancelled"

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="experiments", db_index=False)
    name = models.CharField(max_length=100)
    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="experiments")
    split = models.CharField(max_length=10, choices=DatasetSplit.Split)
    # Everything the command line said, so that the experiment can be repeated and continued.
    configuration = models.JSONField()
    state = models.CharField(max_length=20, choices=State, default=State.ACTIVE)
    # The comparison table as JSON, made when the last run ended.
    report = models.JSONField(null=True, blank=True)
    versions = models.JSONField(default=dict, blank=True)
    hardware = models.JSONField(default=dict, blank=True)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workspace", "name"], name="experiment_once_a_workspace"),
            models.CheckConstraint(
                condition=Q(state__in=["active", "done", "failed", "cancelled"]), name="experiment_state_is_known"
            ),
            models.CheckConstraint(
                condition=Q(state="active", finished_at__isnull=True)
                | (~Q(state="active") & Q(finished_at__isnull=False)),
                name="experiment_finished_has_a_time",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Run(models.Model):
    """One method on one split's questions. Never edited once done: other inputs make another run.

    `identity` is the digest of everything that decides the predictions, so experiments share runs.
    """

    class State(models.TextChoices):
        PENDING = "pending"
        PREPARING = "preparing", "embedding documents or training adapters"
        GENERATING = "generating"
        SCORING = "scoring"
        DONE = "done"
        FAILED = "failed"
        CANCELLED = "cancelled"

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="runs", db_index=False)
    split = models.ForeignKey(DatasetSplit, on_delete=models.CASCADE, related_name="runs")
    identity = models.CharField(max_length=64)
    # Null for predictions that were made elsewhere and imported.
    base_model = models.ForeignKey(BaseModel, on_delete=models.PROTECT, null=True, blank=True, related_name="runs")
    family = models.CharField(max_length=20)
    retriever = models.CharField(max_length=100, blank=True)
    # "swapped": each user's questions are answered with another user's profile, adapter or both.
    control = models.CharField(max_length=20, blank=True)
    encoder = models.ForeignKey("retrieval_app.Encoder", on_delete=models.PROTECT, null=True, blank=True)
    documents_wanted = models.PositiveIntegerField(default=0)
    rank = models.PositiveIntegerField(null=True, blank=True)
    # What its adapters are stored in; empty where it has none.
    adapter_dtype = models.CharField(max_length=20, blank=True)
    hyperparameters = models.JSONField(default=dict, blank=True)
    parameters = models.JSONField(default=dict, blank=True)
    seed = models.BigIntegerField(default=0)
    # Whose questions: null is everyone's, else those of the first so many users in the file's order.
    user_limit = models.PositiveIntegerField(null=True, blank=True)
    question_count = models.PositiveIntegerField()
    state = models.CharField(max_length=20, choices=State, default=State.PENDING)
    metrics = models.JSONField(null=True, blank=True)
    costs = models.JSONField(null=True, blank=True)
    versions = models.JSONField(default=dict, blank=True)
    hardware = models.JSONField(default=dict, blank=True)
    error = models.TextField(blank=True)
    # How many people were erased of those whose questions it answered, or with whose profile: its metrics are of them
    # too, and its predictions are not any more.
    erased_end_users = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    # When the run was last set going; failures of jobs before that are forgiven.
    started_at = models.DateTimeField(db_default=Now(), editable=False)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workspace", "identity"], name="run_once_an_identity"),
            models.CheckConstraint(
                condition=Q(state__in=["pending", "preparing", "generating", "scoring", "done", "failed", "cancelled"]),
                name="run_state_is_known",
            ),
            models.CheckConstraint(
                condition=Q(family__in=["none", "rag", "peft", "peft-rag", "imported"]), name="run_family_is_known"
            ),
            models.CheckConstraint(
                condition=Q(adapter_dtype__in=["", "float32", "bfloat16"]), name="run_adapter_dtype_is_known"
            ),
            models.CheckConstraint(
                condition=Q(control="") | Q(control="swapped", family__in=["rag", "peft", "peft-rag"]),
                name="run_control_is_of_a_personalized_run",
            ),
        ]

    def __str__(self) -> str:
        return f"run {self.pk}"


class ExperimentRun(models.Model):
    """A cell group of an experiment's table: the run behind one method's column for one task, or why there is none."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="columns", db_index=False)
    task = models.CharField(max_length=100)
    # The method as it was asked for: "peft-rag:best:8", and its control "peft-rag:best:8@swapped".
    method = models.CharField(max_length=100)
    # Null until `best` is known, and where the method was refused.
    run = models.ForeignKey(Run, on_delete=models.CASCADE, null=True, blank=True, related_name="columns")
    refusal = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["experiment", "task", "method"], name="experiment_column_once"),
            models.CheckConstraint(
                condition=Q(run__isnull=True) | Q(refusal=""), name="experiment_column_runs_or_is_refused"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.method} of {self.task}"


class Prediction(models.Model):
    """What one run answered to one question, and how the answer came about."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="predictions", db_index=False)
    question = models.ForeignKey(Question, on_delete=models.CASCADE, related_name="predictions")
    end_user = models.ForeignKey(EndUser, on_delete=models.CASCADE, related_name="predictions", db_index=False)
    # In a control, whose profile and adapter it was answered with: the prompt holds their words.
    swapped_with = models.ForeignKey(
        EndUser, on_delete=models.CASCADE, null=True, blank=True, related_name="swapped_predictions", db_index=False
    )
    output = models.TextField()
    # Null for predictions that were made elsewhere.
    prompt = models.TextField(null=True, blank=True)
    adapter = models.ForeignKey("training_app.Adapter", on_delete=models.SET_NULL, null=True, blank=True)
    retrieved_document_ids = ArrayField(models.BigIntegerField(), default=list)
    retrieved_scores = ArrayField(models.FloatField(), default=list)
    sequence_score = models.FloatField(null=True)
    input_tokens = models.PositiveIntegerField(null=True)
    output_tokens = models.PositiveIntegerField(null=True)
    retrieval_ms = models.FloatField(null=True)
    adapter_ms = models.FloatField(null=True)
    model_ms = models.FloatField(null=True)
    # Metric name to this sample's value; null where the split has no golds.
    scores = models.JSONField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "question"], name="prediction_once_a_question"),
            models.CheckConstraint(
                condition=Q(
                    retrieved_document_ids__len=Func(
                        F("retrieved_scores"), function="cardinality", output_field=models.IntegerField()
                    )
                ),
                name="prediction_arrays_are_parallel",
            ),
            models.CheckConstraint(
                condition=Q(swapped_with__isnull=True) | ~Q(swapped_with=F("end_user")),
                name="prediction_swapped_with_another",
            ),
        ]
        indexes = [
            models.Index(fields=["end_user", "run"], name="prediction_by_end_user"),
            models.Index(
                fields=["swapped_with"],
                condition=Q(swapped_with__isnull=False),
                name="prediction_by_swapped_with",
            ),
        ]

    def __str__(self) -> str:
        return f"prediction {self.pk}"


class UserImprovement(models.Model):
    """What a personalized run did for one end user, against the non-personalized run on the same questions."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="improvements", db_index=False)
    baseline = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="improvements_over")
    end_user = models.ForeignKey(EndUser, on_delete=models.CASCADE, related_name="improvements")
    metric = models.CharField(max_length=50)
    # Mean over the user's snapshots in the split.
    profile_size = models.FloatField()
    question_count = models.PositiveIntegerField()
    score = models.FloatField()
    baseline_score = models.FloatField()
    # +1 better, -1 worse by the metric's direction, 0 unchanged.
    direction = models.SmallIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "baseline", "end_user"], name="improvement_once_a_user"),
            models.CheckConstraint(condition=Q(direction__in=[-1, 0, 1]), name="improvement_direction_is_a_sign"),
        ]

    def __str__(self) -> str:
        return f"improvement {self.pk}"
