"""The personalized models: base models, adapters, and what was generated with them."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from common.model_names import public_name
from training_app.retraining.models import (
    LearnedProfile,
    Retraining,
    RetrainingPolicy,
    RetrainingSweep,
    ServingChoice,
)
from users_app.models import EndUser

__all__ = [
    "Adapter",
    "BaseModel",
    "Generation",
    "LearnedProfile",
    "Retraining",
    "RetrainingPolicy",
    "RetrainingSweep",
    "ServingChoice",
]


class BaseModel(models.Model):
    """A frozen T5-family model at one revision: a hub commit, or the digest of a folder."""

    name = models.CharField(max_length=300)
    revision = models.CharField(max_length=100)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["name", "revision"], name="base_model_once_a_revision")]

    def __str__(self) -> str:
        return f"{self.name}@{self.revision[:12]}"

    @property
    def public_name(self) -> str:
        """By which clients call it."""
        return public_name(self.name)


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
    # Trained to be measured alone (`training_app.retraining`): it never answers for the user, and is deleted after.
    is_trial = models.BooleanField(default=False, db_default=False)
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
        indexes = [
            models.Index(fields=["end_user", "task", "base_model", "rank"], name="adapter_by_end_user"),
            # Few at any time: a sweep looks for those that nobody measures any more.
            models.Index(fields=["id"], condition=Q(is_trial=True), name="adapter_trials"),
        ]

    def __str__(self) -> str:
        return f"adapter {self.pk}"


class Generation(models.Model):
    """One asked-for output or preview: what was asked, and once it has ended, how the answer came about."""

    class Family(models.TextChoices):
        NONE = "none"
        RAG = "rag"
        PEFT = "peft"
        PEFT_RAG = "peft-rag"

    class Kind(models.TextChoices):
        ANSWER = "answer", "an output"
        # As far as the prompt: nothing is generated.
        PREVIEW = "preview", "a preview"

    class State(models.TextChoices):
        ASKED = "asked", "asked"
        DONE = "done", "done"
        FAILED = "failed", "failed"
        CANCELLED = "cancelled", "cancelled"

    class Rating(models.TextChoices):
        ACCEPTED = "accepted", "accepted"
        CORRECTED = "corrected", "corrected"
        REJECTED = "rejected", "rejected"

    end_user = models.ForeignKey(EndUser, on_delete=models.CASCADE, related_name="generations", db_index=False)
    task = models.CharField(max_length=100)
    # The version that was asked for. Empty: the task stands in the catalogue, whose only version is meant.
    task_version = models.CharField(max_length=64, blank=True, default="")
    base_model = models.ForeignKey(BaseModel, on_delete=models.PROTECT, related_name="generations")
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.ANSWER)
    state = models.CharField(max_length=10, choices=State, default=State.ASKED)
    # What a client asked for: a family, or "auto". Empty where an evaluation run asks.
    asked_method = models.CharField(max_length=20, blank=True, default="")
    # The family that is used, and why it is this one.
    family = models.CharField(max_length=20, choices=Family)
    reason = models.CharField(max_length=300, blank=True, default="")
    # The key by which a client asked. No foreign key: it says who it was after the key has gone, too.
    api_key_id = models.BigIntegerField(null=True, blank=True)
    retriever = models.CharField(max_length=100, blank=True)
    encoder = models.ForeignKey("retrieval_app.Encoder", on_delete=models.PROTECT, null=True, blank=True)
    # What chooses among the retrievers of its pool, where the retriever is one that chooses.
    selector = models.ForeignKey(
        "retrieval_app.TrainedModel", on_delete=models.RESTRICT, null=True, blank=True, related_name="generations"
    )
    documents_wanted = models.PositiveIntegerField(default=0)
    adapter = models.ForeignKey(Adapter, on_delete=models.CASCADE, null=True, blank=True, related_name="generations")
    # Beams, token limits and whether rows may share a pass: what changes the output beside the prompt.
    parameters = models.JSONField()
    # Recorded for the client alone: beam search draws nothing.
    seed = models.BigIntegerField(null=True, blank=True)
    input = models.TextField()
    # The profile as of this question, in its order, repetitions included.
    profile_document_ids = ArrayField(models.BigIntegerField())
    # How many these are, where `generation_selectors` has read the rest without them.
    profile_size: int
    # Who asked: "run:12/345" is question 345 of evaluation run 12.
    origin = models.CharField(max_length=100, blank=True, db_index=True)

    prompt = models.TextField(null=True)
    output = models.TextField(null=True)
    retrieved_document_ids = ArrayField(models.BigIntegerField(), null=True)
    retrieved_scores = ArrayField(models.FloatField(), null=True)
    # Of a selector: the member of its pool that it chose, and the score of each in the pool's order.
    chosen_retriever = models.CharField(max_length=100, blank=True, default="")
    candidate_scores = ArrayField(models.FloatField(), null=True)
    sequence_score = models.FloatField(null=True)
    input_tokens = models.PositiveIntegerField(null=True)
    output_tokens = models.PositiveIntegerField(null=True)
    retrieval_ms = models.FloatField(null=True)
    adapter_ms = models.FloatField(null=True)
    model_ms = models.FloatField(null=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    finished_at = models.DateTimeField(null=True)
    # Why it failed or was cancelled, for the client: a problem's slug and words. They hold no user's text.
    problem_slug = models.CharField(max_length=60, blank=True, default="")
    problem_detail = models.CharField(max_length=600, blank=True, default="")

    # What the client said of the answer, and by which id the document that it became stands in the profile.
    rating = models.CharField(max_length=10, choices=Rating, blank=True, default="")
    rated_at = models.DateTimeField(null=True, blank=True)
    feedback_client_id = models.TextField(blank=True, default="")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(family__in=["none", "rag", "peft", "peft-rag"]), name="generation_family_is_known"
            ),
            models.CheckConstraint(condition=Q(kind__in=["answer", "preview"]), name="generation_kind_is_known"),
            models.CheckConstraint(
                condition=Q(state="asked", finished_at__isnull=True, problem_slug="")
                | Q(state="done", finished_at__isnull=False, problem_slug="", prompt__isnull=False)
                & (Q(output__isnull=False) | Q(kind="preview"))
                | Q(state__in=["failed", "cancelled"], finished_at__isnull=False) & ~Q(problem_slug=""),
                name="generation_state_has_its_parts",
            ),
            models.CheckConstraint(
                condition=Q(rating="", rated_at__isnull=True, feedback_client_id="")
                | Q(rating__in=["accepted", "corrected"], rated_at__isnull=False, state="done", kind="answer")
                | Q(rating="rejected", rated_at__isnull=False, state="done", kind="answer", feedback_client_id=""),
                name="generation_rating_is_of_an_answer",
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
            models.CheckConstraint(
                condition=Q(retriever__in=["rspg-pre", "rspg-post"], selector__isnull=False)
                | ~Q(retriever__in=["rspg-pre", "rspg-post"]) & Q(selector__isnull=True),
                name="generation_selector_matches_retriever",
            ),
        ]
        indexes = [
            models.Index(fields=["end_user", "created_at"], name="generation_by_end_user"),
            # Of those that clients asked for: what has not ended, and when the rest did.
            models.Index(fields=["id"], condition=Q(state="asked") & ~Q(asked_method=""), name="generation_under_way"),
            models.Index(
                fields=["finished_at"],
                condition=Q(finished_at__isnull=False) & ~Q(asked_method=""),
                name="generation_by_end",
            ),
        ]

    def __str__(self) -> str:
        return f"generation {self.pk}"
