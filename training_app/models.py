"""The personalized models: base models, adapters, and what was generated with them."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from users_app.models import EndUser


class BaseModel(models.Model):
    """A frozen T5-family model at one revision: a hub commit, or the digest of a folder."""

    name = models.CharField(max_length=300)
    revision = models.CharField(max_length=100)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["name", "revision"], name="base_model_once_a_revision")]

    def __str__(self) -> str:
        return f"{self.name}@{self.revision[:12]}"


class Adapter(models.Model):
    """One immutable version of one end user's LoRA adapter, named by everything that made it.

    `identity` is the digest of workspace, end user, base model, revision and precision, whether it was trained in a
    pass of its own, the precision that it is stored in, task and its version, hyperparameters, the ordered digests of
    the documents, seed and engine version: the same inputs find the same row.
    """

    end_user = models.ForeignKey(EndUser, on_delete=models.CASCADE, related_name="adapters", db_index=False)
    task = models.CharField(max_length=100)
    task_version = models.CharField(max_length=64)
    base_model = models.ForeignKey(BaseModel, on_delete=models.PROTECT, related_name="adapters")
    # The precision of the frozen base model in training; LoRA itself is float32.
    dtype = models.CharField(max_length=20)
    # Trained alone in its passes: its bytes can be made again.
    exact = models.BooleanField()
    stored_dtype = models.CharField(max_length=20)
    rank = models.PositiveIntegerField()
    hyperparameters = models.JSONField()
    seed = models.BigIntegerField()
    engine_version = models.CharField(max_length=50)
    identity = models.CharField(max_length=64)
    # In training order, repetitions included; erasing a document finds every adapter that saw it.
    document_ids = ArrayField(models.BigIntegerField())
    document_digests = ArrayField(models.CharField(max_length=64))

    object_prefix = models.CharField(max_length=300)
    content_digest = models.CharField(max_length=64)
    size_bytes = models.BigIntegerField()

    loss_curve = models.JSONField()
    steps = models.PositiveIntegerField()
    training_seconds = models.FloatField()
    versions = models.JSONField()
    hardware = models.JSONField()
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    # Set when its files were found lost or damaged: it is not used again, and the same inputs make another one.
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["identity"], condition=Q(withdrawn_at__isnull=True), name="adapter_once_an_identity"
            ),
            models.CheckConstraint(condition=Q(rank__gte=1, rank__lte=256), name="adapter_rank_in_range"),
            models.CheckConstraint(condition=Q(size_bytes__gt=0), name="adapter_is_not_empty"),
            models.CheckConstraint(condition=Q(document_ids__len__gt=0), name="adapter_saw_documents"),
            models.CheckConstraint(
                condition=Q(stored_dtype="float32") | Q(stored_dtype="bfloat16", exact=False),
                name="adapter_stored_dtype_is_known",
            ),
        ]
        indexes = [models.Index(fields=["end_user", "task", "base_model", "rank"], name="adapter_by_end_user")]

    def __str__(self) -> str:
        return f"adapter {self.pk}"


class Generation(models.Model):
    """One asked-for output: what was asked, and once a worker has answered, how the answer came about."""

    class Family(models.TextChoices):
        NONE = "none"
        RAG = "rag"
        PEFT = "peft"
        PEFT_RAG = "peft-rag"

    end_user = models.ForeignKey(EndUser, on_delete=models.CASCADE, related_name="generations", db_index=False)
    task = models.CharField(max_length=100)
    base_model = models.ForeignKey(BaseModel, on_delete=models.PROTECT, related_name="generations")
    family = models.CharField(max_length=20, choices=Family)
    retriever = models.CharField(max_length=100, blank=True)
    encoder = models.ForeignKey("retrieval_app.Encoder", on_delete=models.PROTECT, null=True, blank=True)
    documents_wanted = models.PositiveIntegerField(default=0)
    adapter = models.ForeignKey(Adapter, on_delete=models.CASCADE, null=True, blank=True, related_name="generations")
    # Beams, token limits and whether rows may share a pass: what changes the output beside the prompt.
    parameters = models.JSONField()
    input = models.TextField()
    # The profile as of this question, in its order, repetitions included.
    profile_document_ids = ArrayField(models.BigIntegerField())
    # Who asked: "run:12/345" is question 345 of evaluation run 12.
    origin = models.CharField(max_length=100, blank=True, db_index=True)

    prompt = models.TextField(null=True)
    output = models.TextField(null=True)
    retrieved_document_ids = ArrayField(models.BigIntegerField(), null=True)
    retrieved_scores = ArrayField(models.FloatField(), null=True)
    sequence_score = models.FloatField(null=True)
    input_tokens = models.PositiveIntegerField(null=True)
    output_tokens = models.PositiveIntegerField(null=True)
    retrieval_ms = models.FloatField(null=True)
    adapter_ms = models.FloatField(null=True)
    model_ms = models.FloatField(null=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(family__in=["none", "rag", "peft", "peft-rag"]), name="generation_family_is_known"
            ),
            models.CheckConstraint(
                condition=Q(finished_at__isnull=True) | Q(output__isnull=False, prompt__isnull=False),
                name="generation_finished_has_output",
            ),
            models.CheckConstraint(
                # A user without any document to train on is answered by the base model: M_u is M.
                condition=Q(family__in=["peft", "peft-rag"]) | Q(adapter__isnull=True),
                name="generation_adapter_matches_family",
            ),
            models.CheckConstraint(
                condition=(Q(family__in=["rag", "peft-rag"]) & ~Q(retriever=""))
                | Q(family__in=["none", "peft"], retriever=""),
                name="generation_retriever_matches_family",
            ),
        ]
        indexes = [models.Index(fields=["end_user", "created_at"], name="generation_by_end_user")]

    def __str__(self) -> str:
        return f"generation {self.pk}"
