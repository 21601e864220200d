"""Base models, adapters and generations in the admin. Prompts and outputs are never shown here."""

from django.contrib import admin

from common.admin import ReadOnlyAdmin
from training_app.models import Adapter, BaseModel, Generation


@admin.register(BaseModel)
class BaseModelAdmin(ReadOnlyAdmin):
    list_display = ["name", "revision", "created_at"]
    search_fields = ["name"]


@admin.register(Adapter)
class AdapterAdmin(ReadOnlyAdmin):
    list_display = [
        "id",
        "end_user",
        "task",
        "base_model",
        "rank",
        "exact",
        "stored_dtype",
        "size_bytes",
        "training_seconds",
        "created_at",
    ]
    list_filter = ["task", "rank", "exact", "stored_dtype", "base_model"]
    search_fields = ["=identity", "=end_user__external_id"]
    list_select_related = ["end_user", "base_model"]


@admin.register(Generation)
class GenerationAdmin(ReadOnlyAdmin):
    list_display = ["id", "kind", "state", "end_user", "task", "family", "retriever", "rating", "origin", "created_at"]
    list_filter = ["state", "kind", "task", "family", "retriever", "rating"]
    list_select_related = ["end_user"]
    fields = [
        "kind",
        "state",
        "end_user",
        "task",
        "asked_method",
        "family",
        "reason",
        "retriever",
        "base_model",
        "adapter",
        "origin",
        "api_key_id",
        "problem_slug",
        "problem_detail",
        "rating",
        "input_tokens",
        "output_tokens",
        "retrieval_ms",
        "adapter_ms",
        "model_ms",
        "created_at",
        "finished_at",
    ]
