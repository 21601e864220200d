"""Base models, adapters and generations in the admin. Prompts and outputs are never shown here."""

from typing import Final

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from unfold.decorators import action, display

from common.admin import InstallationAdmin, ReadOnlyAdmin
from common.admin_filters import choice_filter
from training_app import retraining_admin as retraining_admin
from training_app.models import Adapter, BaseModel, Generation
from users_app.admin_choices import task_choices

_RANKS: Final = [(str(rank), str(rank)) for rank in (1, 2, 4, 8, 16, 32, 64, 128, 256)]
_DTYPES: Final = [("bfloat16", "bfloat16"), ("float32", "float32")]
_COLORS: Final = {"asked": "info", "done": "success", "failed": "danger", "cancelled": "default"}


@admin.register(BaseModel)
class BaseModelAdmin(InstallationAdmin):
    """Recorded when a worker loads one."""

    list_display = ["name", "revision", "created_at"]
    search_fields = ["name__icontains", "revision__startswith"]
    fields = ["name", "revision", "created_at"]
    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: BaseModel | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: BaseModel | None = None) -> bool:
        return False


@admin.register(Adapter)
class AdapterAdmin(ReadOnlyAdmin):
    """Which of them serves is chosen on the person's page, as it says what served before and why."""

    actions_detail = ["choose_serving"]
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
    list_filter = [
        choice_filter("task", title="task", choices=task_choices),
        choice_filter("rank", title="rank", choices=lambda request: _RANKS),
        choice_filter("stored_dtype", title="stored as", choices=lambda request: _DTYPES),
        "exact",
        "base_model",
        ("withdrawn_at", admin.EmptyFieldListFilter),
    ]
    search_fields = ["pk", "identity", "end_user__external_id"]
    list_select_related = ["end_user", "base_model"]
    deferred = ["document_ids", "document_digests", "loss_curve"]
    fields = [
        "end_user",
        "task",
        "task_version",
        "base_model",
        "dtype",
        "exact",
        "stored_dtype",
        "is_trial",
        "rank",
        "hyperparameters",
        "seed",
        "engine_version",
        "identity",
        "content_digest",
        "size_bytes",
        "steps",
        "training_seconds",
        "versions",
        "hardware",
        "created_at",
        "withdrawn_at",
    ]

    @action(description="What serves…")
    def choose_serving(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Go to the page where one click lets it serve, or rolls back."""
        adapter = self.get_object(request, object_id)
        if adapter is None:
            return redirect(reverse("admin:training_app_adapter_changelist"))
        end_user = adapter.end_user
        return redirect(reverse("person", args=[end_user.workspace.slug, end_user.pk]) + "#serving")


@admin.register(Generation)
class GenerationAdmin(ReadOnlyAdmin):
    list_display = [
        "id",
        "kind",
        "standing",
        "end_user",
        "task",
        "family",
        "retriever",
        "rating",
        "origin",
        "created_at",
    ]
    list_filter = [
        "state",
        "kind",
        choice_filter("task", title="task", choices=task_choices),
        "family",
        "rating",
        "created_at",
    ]
    search_fields = ["pk", "origin", "end_user__external_id"]
    search_help_text = "A number of ours, the whole name of an end user, or an origin as “run:12/345”."
    list_select_related = ["end_user"]
    deferred = ["input", "prompt", "output", "profile_document_ids", "retrieved_document_ids", "retrieved_scores"]
    readonly_fields = ["standing"]
    fields = [
        "kind",
        "standing",
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

    @display(description="State", label=_COLORS)
    def standing(self, generation: Generation) -> str:
        """Where it stands, as a word in a colour."""
        return generation.state
