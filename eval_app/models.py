"""Is it better: datasets, experiments, runs, predictions and what they say of each end user."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Func, Q
from django.db.models.functions import Abs, Now

from retrieval_app.models import TrainedModel
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


class DatasetImport(models.Model):
    """An import from the first word of it to its report, so that nothing is lost when its page is left.

    Those that pages begin are drafts until their files are there and were checked; those that commands and programs ask
    for begin as `importing`. It outlives its jobs, and what it says of an end user's texts (`samples`) goes with its
    uploads.
    """

    class State(models.TextChoices):
        DRAFT = "draft", "waits for its files"
        CHECKING = "checking", "is being checked"
        CHECKED = "checked", "was checked"
        IMPORTING = "importing", "is under way"
        DONE = "done", "is done"
        FAILED = "failed", "has failed"
        CANCELLED = "cancelled", "was cancelled"

    class Source(models.TextChoices):
        FILES = "files", "the files of one split"
        ARCHIVE = "archive", "a zip of a task's folder"

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="imports", db_index=False)
    dataset = models.SlugField(max_length=100, db_index=False)
    # Empty: every split of the archive.
    split = models.CharField(max_length=10, choices=DatasetSplit.Split, blank=True)
    source = models.CharField(max_length=10, choices=Source, default=Source.FILES)
    # Empty: as recognised.
    task = models.CharField(max_length=100, blank=True)
    separation = models.CharField(max_length=10, choices=Separation, blank=True)
    keep_source = models.BooleanField(default=False)
    # By what each is ("questions", "outputs", "truth", "archive"): its upload's id, its name and its bytes.
    files = models.JSONField(default=dict, blank=True)
    state = models.CharField(max_length=10, choices=State, default=State.DRAFT)
    # What the check found, a split each; None before it.
    findings = models.JSONField(null=True, blank=True)
    # The first questions of each split, in people's own words.
    samples = models.JSONField(null=True, blank=True)
    # How its jobs ended, a split each.
    report = models.JSONField(null=True, blank=True)
    # Why the last check or import came to nothing.
    error = models.TextField(blank=True)
    # Its jobs' origin is "import:" and this; empty before the import.
    import_id = models.CharField(max_length=32, blank=True, editable=False)
    begun_by = models.CharField(max_length=150, blank=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["import_id"], condition=~Q(import_id=""), name="import_once_an_id"),
            models.CheckConstraint(
                condition=Q(
                    state__in=["draft", "checking", "checked", "importing", "done", "failed", "cancelled"],
                    source__in=["files", "archive"],
                ),
                name="import_state_and_source_are_known",
            ),
            models.CheckConstraint(condition=~Q(split="") | Q(source="archive"), name="import_names_its_split"),
        ]
        indexes = [
            models.Index(fields=["workspace", "id"], name="import_of_workspace"),
            models.Index(fields=["id"], condition=Q(state__in=["checking", "importing"]), name="import_under_way"),
        ]

    def __str__(self) -> str:
        return f"import {self.pk}"


class ImportProblem(models.Model):
    """Something that is wrong with the files of an import, as its check found it."""

    dataset_import = models.ForeignKey(DatasetImport, on_delete=models.CASCADE, related_name="problems", db_index=False)
    position = models.PositiveIntegerField()
    split = models.CharField(max_length=10)
    file = models.TextField()
    # From 1; null where it is the file's.
    row = models.PositiveBigIntegerField(null=True)
    question_id = models.TextField(blank=True)
    field = models.TextField(blank=True)
    message = models.TextField()
    remedy = models.TextField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["dataset_import", "position"], name="import_problem_position_once"),
        ]

    def __str__(self) -> str:
        return f"problem {self.position} of import {self.dataset_import_id}"


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
    # What chooses among the retrievers of its pool, where the retriever is one that chooses.
    selector = models.ForeignKey(
        "retrieval_app.TrainedModel", on_delete=models.RESTRICT, null=True, blank=True, related_name="runs"
    )
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
            models.CheckConstraint(
                condition=Q(retriever__in=["rspg-pre", "rspg-post"], selector__isnull=False)
                | ~Q(retriever__in=["rspg-pre", "rspg-post"]) & Q(selector__isnull=True),
                name="run_selector_matches_retriever",
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


class ExperimentComparison(models.Model):
    """An experiment's columns held against another baseline than no personalization, which its report is about.

    It holds aggregates alone, as the report does, and stands for as long as the report is the one it was made of.
    """

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="comparisons", db_index=False)
    # The method's key: "rag:bm25".
    baseline = models.CharField(max_length=100)
    # sha256 of what the report measured.
    report_digest = models.CharField(max_length=64)
    # By task and method key what `eval_app.comparison.Comparison` says.
    comparisons = models.JSONField()
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["experiment", "baseline"], name="comparison_once_a_baseline"),
        ]

    def __str__(self) -> str:
        return f"comparison {self.pk}"


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
    # Of a selector: the member of its pool that it chose, and the score of each in the pool's order.
    chosen_retriever = models.CharField(max_length=100, blank=True, default="")
    candidate_scores = ArrayField(models.FloatField(), null=True)
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


class DocumentFeedback(models.Model):
    """What each of a question's first documents is worth to the base model (ROPG, LaMP reference §3).

    The documents are the initial retriever's best, best first and each once; a document's utility (`lamp.utility`) is
    that of what the base model answers with this document alone in the prompt. Every training whose settings have this
    digest learns from it (`eval_app.document_feedback`).
    """

    question = models.ForeignKey(Question, on_delete=models.CASCADE, related_name="document_feedback", db_index=False)
    end_user = models.ForeignKey(EndUser, on_delete=models.CASCADE, related_name="document_feedback")
    settings_digest = models.CharField(max_length=64)
    document_ids = ArrayField(models.BigIntegerField())
    utilities = ArrayField(models.FloatField())
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["question", "settings_digest"], name="document_feedback_once_a_setting"),
            models.CheckConstraint(
                condition=Q(
                    document_ids__len=Func(F("utilities"), function="cardinality", output_field=models.IntegerField())
                ),
                name="document_feedback_arrays_are_parallel",
            ),
        ]

    def __str__(self) -> str:
        return f"document feedback {self.pk}"


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
    # The difference of the scores, positive where better; exactly 0 where unchanged.
    gain = models.GeneratedField(
        expression=F("direction") * Abs(F("score") - F("baseline_score")),
        output_field=models.FloatField(),
        db_persist=True,
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "baseline", "end_user"], name="improvement_once_a_user"),
            models.CheckConstraint(condition=Q(direction__in=[-1, 0, 1]), name="improvement_direction_is_a_sign"),
        ]
        indexes = [
            # A direction is a range of gains, so this one serves lists of it, too.
            models.Index(fields=["run", "baseline", "gain", "end_user"], name="improvement_by_gain"),
            models.Index(fields=["run", "baseline", "profile_size", "end_user"], name="improvement_by_size"),
            models.Index(
                fields=["run", "baseline", "direction", "profile_size", "end_user"], name="improvement_by_way_and_size"
            ),
        ]

    def __str__(self) -> str:
        return f"improvement {self.pk}"


class ModelTraining(models.Model):
    """A selector or an encoder that somebody wants trained: from the base model's feedback to the trained model.

    Feedback comes from the train split, and the best step is picked on the dev split. It outlives its jobs, whose
    origin is "model-training:" and its id.
    """

    class State(models.TextChoices):
        FEEDBACK = "feedback", "gathers feedback"
        TRAINING = "training", "is being trained"
        DONE = "done", "is done"
        FAILED = "failed", "has failed"
        CANCELLED = "cancelled", "was cancelled"

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="model_trainings", db_index=False)
    kind = models.CharField(max_length=20, choices=TrainedModel.Kind)
    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="model_trainings")
    tasks = ArrayField(models.CharField(max_length=100))
    base_model = models.ForeignKey(BaseModel, on_delete=models.PROTECT, related_name="model_trainings")
    # Of dense retrieval: with a selector, contriever's in its pool; with ROPG, what the first documents are found by.
    encoder = models.ForeignKey("retrieval_app.Encoder", on_delete=models.PROTECT, null=True, blank=True)
    # "small", a folder, or a hub's "NAME[@REVISION]": the encoder that training begins from.
    initial_model = models.CharField(max_length=500)
    pool = models.JSONField(default=list, blank=True)
    documents_wanted = models.PositiveIntegerField()
    # How the base model searches for its answers, as runs keep it.
    parameters = models.JSONField()
    hyperparameters = models.JSONField(default=dict)
    seed = models.BigIntegerField(default=0)
    user_limit = models.PositiveIntegerField(null=True, blank=True)
    # Of a selector: the experiments that make, or share, the runs of its pool.
    train_experiment = models.ForeignKey(
        Experiment, on_delete=models.SET_NULL, null=True, blank=True, related_name="trainings_on_train"
    )
    dev_experiment = models.ForeignKey(
        Experiment, on_delete=models.SET_NULL, null=True, blank=True, related_name="trainings_on_dev"
    )
    state = models.CharField(max_length=10, choices=State, default=State.FEEDBACK)
    trained_model = models.ForeignKey(
        "retrieval_app.TrainedModel", on_delete=models.SET_NULL, null=True, blank=True, related_name="trainings"
    )
    # The trained model that this one is to take the place of, as after an erasure.
    replaces = models.ForeignKey(
        "retrieval_app.TrainedModel", on_delete=models.SET_NULL, null=True, blank=True, related_name="retrainings"
    )
    error = models.TextField(blank=True)
    begun_by = models.CharField(max_length=150, blank=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["feedback", "training", "done", "failed", "cancelled"]),
                name="model_training_state_is_known",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["feedback", "training"], finished_at__isnull=True)
                | Q(state__in=["done", "failed", "cancelled"], finished_at__isnull=False),
                name="model_training_finished_has_a_time",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["rspg-pre", "rspg-post"]) & ~Q(pool=[])
                | Q(kind__in=["ropg-kd", "ropg-rl"], encoder__isnull=False, pool=[]),
                name="model_training_kind_has_its_parts",
            ),
        ]
        indexes = [
            models.Index(fields=["workspace", "id"], name="model_training_of_workspace"),
            models.Index(fields=["id"], condition=Q(state__in=["feedback", "training"]), name="model_training_open"),
        ]

    def __str__(self) -> str:
        return f"training {self.pk} of {self.kind}"
