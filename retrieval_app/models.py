"""Embeddings, which dense retrieval compares; and what was trained on a base model's feedback over many end users."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Func, Q
from django.db.models.functions import Now
from pgvector.django import VectorField

from common.model_names import public_name
from users_app.models import Document, EndUser, Workspace


class Encoder(models.Model):
    """An encoder at one revision. Vectors of two encoders, or of two revisions, are never compared."""

    name = models.CharField(max_length=300)
    revision = models.CharField(max_length=100)
    dimension = models.PositiveIntegerField()
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["name", "revision"], name="encoder_once_a_revision"),
            models.CheckConstraint(condition=Q(dimension__gt=0), name="encoder_dimension_is_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.name}@{self.revision[:12]}"

    @property
    def public_name(self) -> str:
        """By which clients call it."""
        return public_name(self.name)


class Embedding(models.Model):
    """The vector of one document under one encoder. The column is untyped, so the dimension is checked by row."""

    end_user = models.ForeignKey(EndUser, on_delete=models.CASCADE, related_name="embeddings", db_index=False)
    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="embeddings", db_index=False)
    encoder = models.ForeignKey(Encoder, on_delete=models.PROTECT, related_name="embeddings")
    dimension = models.PositiveIntegerField()
    vector = VectorField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["document", "encoder"], name="embedding_once_a_document_and_encoder"),
            models.CheckConstraint(
                condition=Q(dimension=Func(F("vector"), function="vector_dims", output_field=models.IntegerField())),
                name="embedding_has_its_dimension",
            ),
        ]
        # Search is an exact scan of one end user's vectors under one encoder.
        indexes = [models.Index(fields=["end_user", "encoder"], name="embedding_by_end_user")]

    def __str__(self) -> str:
        return f"embedding {self.pk}"


class TrainedModel(models.Model):
    """A selector (RSPG) or a fine-tuned encoder (ROPG), which chooses or retrieves as the base model's feedback taught.

    One immutable version, named by everything that made it. It was trained over many end users, who are on record as
    `Participant`; so one of a workspace is used in that workspace alone. Those without a workspace came with Lamppost,
    and no end user took part in them.
    """

    class Kind(models.TextChoices):
        RSPG_PRE = "rspg-pre", "RSPG-Pre selector"
        RSPG_POST = "rspg-post", "RSPG-Post selector"
        ROPG_KD = "ropg-kd", "ROPG-KD encoder"
        ROPG_RL = "ropg-rl", "ROPG-RL encoder"

    workspace = models.ForeignKey(
        Workspace, on_delete=models.CASCADE, null=True, blank=True, related_name="trained_models", db_index=False
    )
    kind = models.CharField(max_length=20, choices=Kind)
    # The tasks whose feedback it learned from, and for which it is used.
    tasks = ArrayField(models.CharField(max_length=100))
    # Of each task the version (`lamp.tasks.Task.version`) whose prompts it has learned; none where that is not known.
    task_versions = models.JSONField(default=dict, blank=True)
    # "NAME@REVISION" of the base model whose feedback it was. Text: base models stand in an app above this one.
    base_model = models.CharField(max_length=500)
    documents_wanted = models.PositiveIntegerField()
    # A selector's candidates in order, as `retrieval_app.pools` reads them; empty for an encoder.
    pool = models.JSONField(default=list, blank=True)
    # The encoder that an ROPG training made, by which vectors are kept; null for a selector.
    encoder = models.ForeignKey(Encoder, on_delete=models.PROTECT, null=True, blank=True, related_name="trained_models")
    # "NAME@REVISION" of the encoder that training began from.
    initial_model = models.CharField(max_length=500)
    hyperparameters = models.JSONField(default=dict)
    seed = models.BigIntegerField()
    # sha256 over the samples: whoever has the same feedback has the same digest.
    feedback_digest = models.CharField(max_length=64)
    identity = models.CharField(max_length=64)
    # Where its files are; empty for one that came with Lamppost.
    object_prefix = models.CharField(max_length=300, blank=True)
    content_digest = models.CharField(max_length=64)
    size_bytes = models.BigIntegerField()
    metrics = models.JSONField(default=dict, blank=True)
    loss_curve = models.JSONField(default=list, blank=True)
    steps = models.PositiveIntegerField()
    training_seconds = models.FloatField()
    versions = models.JSONField(default=dict, blank=True)
    hardware = models.JSONField(default=dict, blank=True)
    participant_count = models.PositiveIntegerField(default=0)
    # How often, since it was made, a participant was erased or took back their agreement, or documents of one for a
    # task of it were erased. It learned from what it may not learn from any more, so it should be trained anew.
    erasures = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    # From then on nobody uses it.
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "identity"],
                condition=Q(withdrawn_at__isnull=True),
                nulls_distinct=False,
                name="trained_model_once_an_identity",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["rspg-pre", "rspg-post"], encoder__isnull=True) & ~Q(pool=[])
                | Q(kind__in=["ropg-kd", "ropg-rl"], encoder__isnull=False, pool=[]),
                name="trained_model_kind_has_its_parts",
            ),
            models.CheckConstraint(condition=Q(tasks__len__gt=0), name="trained_model_has_tasks"),
            models.CheckConstraint(
                condition=~Q(object_prefix="") | Q(workspace__isnull=True), name="trained_model_has_its_files"
            ),
        ]
        indexes = [models.Index(fields=["workspace", "kind", "-id"], name="trained_model_newest")]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"


class Participant(models.Model):
    """An end user whose questions and documents a trained model has learned from."""

    trained_model = models.ForeignKey(
        TrainedModel, on_delete=models.CASCADE, related_name="participants", db_index=False
    )
    end_user = models.ForeignKey(EndUser, on_delete=models.CASCADE, related_name="participations")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["trained_model", "end_user"], name="participant_once_a_model"),
        ]

    def __str__(self) -> str:
        return f"participant {self.pk}"
