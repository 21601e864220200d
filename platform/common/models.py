"""What the API must remember about requests, whatever they were about, and the numbers that all processes count."""

from django.db import models
from django.db.models.functions import Now


class CountedSample(models.Model):
    """One sample of a measure: what all processes have counted of it so far (`common.monitoring.counts`)."""

    name = models.CharField(max_length=200)
    # As JSON, with sorted names.
    labels = models.CharField(max_length=500)
    value = models.FloatField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["name", "labels"], name="counted_sample_once_a_series")]

    def __str__(self) -> str:
        return f"{self.name} {self.labels}"


class IdempotencyRecord(models.Model):
    """What a request with an `Idempotency-Key` has made: ids, never a user's text. Made in the effect's transaction."""

    workspace_id = models.BigIntegerField()
    key = models.CharField(max_length=255)
    # sha256 of what was asked: method, path and body.
    fingerprint = models.BinaryField(max_length=32)
    resource = models.JSONField(default=dict)
    # Whose erasure takes the record away.
    end_user_id = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workspace_id", "key"], name="idempotency_key_once_a_workspace"),
        ]
        indexes = [
            models.Index("created_at", name="idempotency_record_age"),
            models.Index("end_user_id", name="idempotency_record_user", condition=models.Q(end_user_id__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"idempotency record {self.pk}"
