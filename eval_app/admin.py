"""Datasets, experiments, runs and improvement records in the admin."""

from django.contrib import admin

from common.admin import ReadOnlyAdmin
from eval_app.models import Dataset, DatasetSplit, Experiment, Run, Upload, UserImprovement


@admin.register(Dataset)
class DatasetAdmin(ReadOnlyAdmin):
    list_display = ["name", "workspace", "created_at"]
    list_filter = ["workspace"]
    search_fields = ["name"]
    list_select_related = ["workspace"]


@admin.register(DatasetSplit)
class DatasetSplitAdmin(ReadOnlyAdmin):
    list_display = [
        "dataset",
        "task",
        "split",
        "version",
        "separation",
        "question_count",
        "end_user_count",
        "document_count",
        "has_golds",
        "has_oracle",
        "imported_at",
    ]
    list_filter = ["task", "split", "separation"]
    search_fields = ["dataset__name"]
    list_select_related = ["dataset"]


@admin.register(Upload)
class UploadAdmin(ReadOnlyAdmin):
    list_display = ["id", "workspace", "name", "size", "created_at", "expires_at", "being_imported"]
    list_filter = ["workspace"]
    list_select_related = ["workspace"]
    fields = ["workspace", "name", "size", "sha256", "being_imported", "created_at", "expires_at"]

    @admin.display(boolean=True)
    def being_imported(self, upload: Upload) -> bool:
        """Whether an import reads it now."""
        return bool(upload.import_id)


@admin.register(Experiment)
class ExperimentAdmin(ReadOnlyAdmin):
    list_display = ["name", "workspace", "dataset", "split", "state", "created_at", "finished_at"]
    list_filter = ["state", "workspace", "split"]
    search_fields = ["name"]
    list_select_related = ["workspace", "dataset"]
    exclude = ["report"]


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    list_display = [
        "id",
        "split",
        "family",
        "retriever",
        "rank",
        "control",
        "exact",
        "adapter_dtype",
        "seed",
        "state",
        "question_count",
        "finished_at",
    ]
    list_filter = ["state", "family", "retriever", "rank", "control", "adapter_dtype", "split__task"]
    search_fields = ["=identity", "=id"]
    list_select_related = ["split"]

    @admin.display(boolean=True)
    def exact(self, run: Run) -> bool:
        """Whether no row shared a pass."""
        return bool(run.parameters.get("exact"))


@admin.register(UserImprovement)
class UserImprovementAdmin(ReadOnlyAdmin):
    list_display = ["end_user", "run", "metric", "profile_size", "baseline_score", "score", "direction"]
    list_filter = ["direction", "run__family", "run__split__task"]
    search_fields = ["=end_user__external_id", "=run__id"]
    list_select_related = ["end_user", "run"]
