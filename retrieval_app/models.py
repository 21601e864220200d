"""Embeddings: what dense retrieval compares."""

from django.db import models
from django.db.models import F, Func, Q
from django.db.models.functions import Now
from pgvector.django import VectorField

from common.model_names import public_name
from users_app.models import Document, EndUser


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
