"""Encoders and which documents were embedded, and models that were trained over many users; vectors are never shown."""

from django.contrib import admin
from django.http import HttpRequest

from common.admin import InstallationAdmin, ReadOnlyAdmin
from retrieval_app.models import Embedding, Encoder, Participant, TrainedModel


@admin.register(Encoder)
class EncoderAdmin(InstallationAdmin):
    """Recorded when a worker loads one."""

    list_display = ["name", "revision", "dimension", "created_at"]
    search_fields = ["name__icontains", "revision__startswith"]
    fields = ["name", "revision", "dimension", "created_at"]
    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Encoder | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Encoder | None = None) -> bool:
        return False


@admin.register(Embedding)
class EmbeddingAdmin(ReadOnlyAdmin):
    """That a document has a vector of an encoder."""

    list_display = ["id", "document_id", "end_user", "encoder", "dimension"]
    list_filter = ["encoder"]
    search_fields = ["pk", "document__id", "end_user__external_id"]
    list_select_related = ["end_user", "encoder"]
    deferred = ["vector"]
    fields = ["document", "end_user", "encoder", "dimension"]


@admin.register(TrainedModel)
class TrainedModelAdmin(ReadOnlyAdmin):
    """Selectors and fine-tuned encoders. They are trained, and trained anew after an erasure, from the pages."""

    list_display = [
        "id",
        "workspace",
        "kind",
        "tasks",
        "base_model",
        "participant_count",
        "erasures",
        "created_at",
        "withdrawn_at",
    ]
    list_filter = ["kind", "workspace", ("withdrawn_at", admin.EmptyFieldListFilter)]
    search_fields = ["pk", "identity", "content_digest", "feedback_digest"]
    search_help_text = "A number of ours, or a whole digest."
    list_select_related = ["workspace"]
    deferred = ["loss_curve"]
    fields = [
        "workspace",
        "kind",
        "tasks",
        "base_model",
        "documents_wanted",
        "pool",
        "encoder",
        "initial_model",
        "hyperparameters",
        "seed",
        "feedback_digest",
        "identity",
        "content_digest",
        "size_bytes",
        "metrics",
        "steps",
        "training_seconds",
        "versions",
        "hardware",
        "participant_count",
        "erasures",
        "created_at",
        "withdrawn_at",
    ]


@admin.register(Participant)
class ParticipantAdmin(ReadOnlyAdmin):
    """Which end users' data a trained model has learned from."""

    list_display = ["id", "trained_model", "end_user"]
    search_fields = ["pk", "trained_model__id", "end_user__external_id"]
    search_help_text = "A number of ours, a trained model's, or the whole name of an end user."
    list_select_related = ["trained_model", "end_user"]
    fields = ["trained_model", "end_user"]
