"""Encoders and which documents were embedded; vectors are never shown."""

from django.contrib import admin
from django.http import HttpRequest

from common.admin import InstallationAdmin, ReadOnlyAdmin
from retrieval_app.models import Embedding, Encoder


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
