"""Datasets, experiments, runs and improvement records in the admin. Questions and answers show no text."""

from typing import Any, Final

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from unfold.decorators import action, display

from common.admin import ReadOnlyAdmin, shortened
from common.admin_filters import choice_filter
from common.workspace_access import ADMIN
from eval_app.methods import CONTROLS, RETRIEVERS, Family
from eval_app.models import (
    Dataset,
    DatasetImport,
    DatasetSplit,
    DocumentFeedback,
    Experiment,
    ExperimentComparison,
    ExperimentRun,
    ImportProblem,
    ModelTraining,
    Prediction,
    Question,
    Run,
    Upload,
    UserImprovement,
)
from lamp.catalogue import CATALOGUE

_EXPERIMENT_COLORS: Final = {"active": "info", "done": "success", "failed": "danger", "cancelled": "default"}
_TRAINING_COLORS: Final = {
    "feedback": "info",
    "training": "info",
    "done": "success",
    "failed": "danger",
    "cancelled": "default",
}
_RUN_COLORS: Final = {
    **dict.fromkeys(("pending", "preparing", "generating", "scoring"), "info"),
    "done": "success",
    "failed": "danger",
    "cancelled": "default",
}
_DIRECTIONS: Final = {1: "better", 0: "unchanged", -1: "worse"}
_RANKS: Final = [(str(rank), str(rank)) for rank in (1, 2, 4, 8, 16, 32, 64, 128, 256)]


def _tasks(request: HttpRequest) -> list[tuple[str, str]]:
    return [(key, key) for key in CATALOGUE]


def _families(request: HttpRequest) -> list[tuple[str, str]]:
    return [(family.value, family.heading) for family in Family]


def _retrievers(request: HttpRequest) -> list[tuple[str, str]]:
    return list(RETRIEVERS.items())


@admin.register(Dataset)
class DatasetAdmin(ReadOnlyAdmin):
    """Deleting one is a job, as everything goes that hangs on it; the page that asks for it says what that is."""

    list_display = ["name", "workspace", "created_at", "being_deleted"]
    list_filter = ["workspace"]
    search_fields = ["pk", "name__icontains"]
    list_select_related = ["workspace"]
    fields = ["workspace", "name", "created_at", "deletion_requested_at"]
    actions_detail = ["delete_dataset"]

    @admin.display(boolean=True, description="being deleted")
    def being_deleted(self, dataset: Dataset) -> bool:
        """Whether a job deletes it."""
        return dataset.deletion_requested_at is not None

    def has_delete_dataset_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Whether whoever asks may have this dataset deleted."""
        dataset = Dataset(pk=int(object_id)) if str(object_id or "").isdecimal() else None
        return self.granted(request, dataset, role=ADMIN)

    @action(description="Delete with everything…", permissions=["delete_dataset"])
    def delete_dataset(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Go to the page that says what would go, and asks."""
        dataset = self.get_object(request, object_id)
        if dataset is None:
            return redirect(reverse("admin:eval_app_dataset_changelist"))
        return redirect(reverse("dataset-delete", args=[dataset.workspace.slug, dataset.pk]))


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
    list_filter = [choice_filter("task", title="task", choices=_tasks), "split", "separation", "dataset"]
    search_fields = ["pk", "dataset__name__icontains", "digest"]
    list_select_related = ["dataset"]
    fields = [
        "dataset",
        "task",
        "split",
        "version",
        "separation",
        "question_count",
        "end_user_count",
        "document_count",
        "entry_count",
        "has_golds",
        "has_oracle",
        "has_dates",
        "digest",
        "questions_digest",
        "outputs_digest",
        "imported_at",
    ]


@admin.register(Upload)
class UploadAdmin(ReadOnlyAdmin):
    list_display = ["id", "workspace", "name", "size", "created_at", "expires_at", "being_imported"]
    list_filter = ["workspace"]
    search_fields = ["pk", "name__icontains"]
    list_select_related = ["workspace"]
    fields = ["workspace", "name", "size", "sha256", "being_imported", "created_at", "expires_at"]

    @admin.display(boolean=True)
    def being_imported(self, upload: Upload) -> bool:
        """Whether an import reads it now."""
        return bool(upload.import_id)


@admin.register(ExperimentComparison)
class ExperimentComparisonAdmin(ReadOnlyAdmin):
    """The table of an experiment against another baseline than none: the page shows what is in it."""

    list_display = ["experiment", "baseline"]
    search_fields = ["experiment__pk", "baseline"]
    list_select_related = ["experiment"]
    deferred = ["comparisons", "experiment__report"]
    fields = ["experiment", "baseline"]


@admin.register(DatasetImport)
class DatasetImportAdmin(ReadOnlyAdmin):
    """The samples that a check has kept are people's own words: its page shows them, and this does not."""

    list_display = ["id", "workspace", "dataset", "split", "source", "state", "begun_by", "created_at", "finished_at"]
    list_filter = ["workspace", "state"]
    search_fields = ["pk", "dataset", "import_id"]
    list_select_related = ["workspace"]
    fields = [
        "workspace",
        "dataset",
        "split",
        "source",
        "task",
        "separation",
        "keep_source",
        "state",
        "error",
        "import_id",
        "begun_by",
        "created_at",
        "finished_at",
    ]
    deferred = ["files", "findings", "samples", "report"]


@admin.register(ImportProblem)
class ImportProblemAdmin(ReadOnlyAdmin):
    list_display = ["dataset_import_id", "position", "split", "row", "field"]
    search_fields = ["dataset_import__pk"]
    fields = ["dataset_import", "position", "split", "row", "field", "message", "remedy"]
    deferred = ["file", "question_id"]


@admin.register(Question)
class QuestionAdmin(ReadOnlyAdmin):
    """Which there are, and whose. What they ask, and the right answers, are users' texts."""

    list_display = ["id", "external_id", "split", "position", "end_user"]
    list_filter = [choice_filter("split__task", title="task", choices=_tasks)]
    search_fields = ["pk", "split__id", "external_id", "end_user__external_id"]
    search_help_text = "A question's or split's number, its id in the file, or the whole name of an end user."
    list_select_related = ["split", "end_user"]
    deferred = ["input", "gold", "oracle_answer", "document_ids", "entry_ids"]
    fields = ["split", "position", "external_id", "end_user"]


@admin.register(Experiment)
class ExperimentAdmin(ReadOnlyAdmin):
    list_display = [
        "name",
        "workspace",
        "dataset",
        "split",
        "standing",
        shortened("error"),
        "created_at",
        "finished_at",
    ]
    list_filter = ["state", "workspace", "split", "created_at"]
    search_fields = ["pk", "name__icontains", "dataset__name"]
    list_select_related = ["workspace", "dataset"]
    deferred = ["report"]
    readonly_fields = ["standing"]
    fields = [
        "workspace",
        "name",
        "dataset",
        "split",
        "standing",
        "error",
        "configuration",
        "versions",
        "hardware",
        "created_at",
        "finished_at",
    ]

    @display(description="State", label=_EXPERIMENT_COLORS)
    def standing(self, experiment: Experiment) -> str:
        """Where it stands, as a word in a colour."""
        return experiment.state


@admin.register(ExperimentRun)
class ExperimentRunAdmin(ReadOnlyAdmin):
    list_display = ["id", "experiment", "task", "method", "run", shortened("refusal")]
    list_filter = [choice_filter("task", title="task", choices=_tasks)]
    search_fields = ["pk", "experiment__name__icontains", "method", "run__id"]
    list_select_related = ["experiment", "run"]
    deferred = ["experiment__report"]
    fields = ["experiment", "task", "method", "run", "refusal"]


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
        "standing",
        "question_count",
        "finished_at",
    ]
    list_filter = [
        "state",
        choice_filter("split__task", title="task", choices=_tasks),
        choice_filter("family", title="family", choices=_families),
        choice_filter("retriever", title="retriever", choices=_retrievers),
        choice_filter("rank", title="rank", choices=lambda request: _RANKS),
        choice_filter("control", title="control", choices=lambda request: [(one, one) for one in CONTROLS]),
        "workspace",
    ]
    search_fields = ["pk", "identity"]
    list_select_related = ["split"]
    readonly_fields = ["standing"]
    fields = [
        "workspace",
        "split",
        "identity",
        "base_model",
        "family",
        "retriever",
        "control",
        "encoder",
        "documents_wanted",
        "rank",
        "adapter_dtype",
        "hyperparameters",
        "parameters",
        "seed",
        "user_limit",
        "question_count",
        "standing",
        "error",
        "metrics",
        "costs",
        "versions",
        "hardware",
        "erased_end_users",
        "created_at",
        "started_at",
        "finished_at",
    ]

    @admin.display(boolean=True)
    def exact(self, run: Run) -> bool:
        """Whether no row shared a pass."""
        return bool(run.parameters.get("exact"))

    @display(description="State", label=_RUN_COLORS)
    def standing(self, run: Run) -> str:
        """Where it stands, as a word in a colour."""
        return run.state


@admin.register(Prediction)
class PredictionAdmin(ReadOnlyAdmin):
    """That a question was answered, and at what cost. Prompts and outputs are users' texts."""

    list_display = ["id", "run_id", "question_id", "end_user", "input_tokens", "output_tokens", "model_ms"]
    list_filter = [
        choice_filter("run__split__task", title="task", choices=_tasks),
        choice_filter("run__family", title="family", choices=_families),
    ]
    search_fields = ["pk", "run__id", "end_user__external_id"]
    search_help_text = "A prediction's or run's number, or the whole name of an end user."
    list_select_related = ["end_user"]
    deferred = ["output", "prompt", "retrieved_document_ids", "retrieved_scores"]
    fields = [
        "run",
        "question",
        "end_user",
        "swapped_with",
        "adapter",
        "scores",
        "sequence_score",
        "input_tokens",
        "output_tokens",
        "retrieval_ms",
        "adapter_ms",
        "model_ms",
    ]


@admin.register(UserImprovement)
class UserImprovementAdmin(ReadOnlyAdmin):
    list_display = [
        "end_user",
        "task",
        "family",
        "run",
        "metric",
        "profile_size",
        "baseline_shown",
        "score_shown",
        "outcome",
    ]
    list_filter = [
        choice_filter("run__split__task", title="task", choices=_tasks),
        choice_filter("run__family", title="family", choices=_families),
        choice_filter(
            "direction",
            title="direction",
            choices=lambda request: [(str(sign), word) for sign, word in _DIRECTIONS.items()],
        ),
    ]
    search_fields = ["pk", "run__id", "end_user__external_id"]
    search_help_text = "A run's number, or the whole name of an end user."
    list_select_related = ["end_user", "run__split"]
    readonly_fields = ["task", "family", "outcome"]
    fields = [
        "end_user",
        "task",
        "family",
        "run",
        "baseline",
        "metric",
        "profile_size",
        "question_count",
        "baseline_score",
        "score",
        "outcome",
    ]

    @admin.display
    def task(self, improvement: UserImprovement) -> str:
        """Of the questions."""
        return improvement.run.split.task

    @admin.display
    def family(self, improvement: UserImprovement) -> str:
        """Of the run that is compared."""
        return Family(improvement.run.family).heading

    @admin.display(description="Baseline score")
    def baseline_shown(self, improvement: UserImprovement) -> str:
        """Of the run without personalization."""
        return f"{improvement.baseline_score:.4f}"

    @admin.display(description="Score")
    def score_shown(self, improvement: UserImprovement) -> str:
        """Of the personalized run."""
        return f"{improvement.score:.4f}"

    @display(description="Direction", label={"better": "success", "worse": "danger", "unchanged": "default"})
    def outcome(self, improvement: UserImprovement) -> str:
        """What the direction says, as a word in a colour."""
        return _DIRECTIONS[improvement.direction]


@admin.register(ModelTraining)
class ModelTrainingAdmin(ReadOnlyAdmin):
    """Trainings of selectors and encoders over many users, which the pages begin, cancel and resume."""

    list_display = ["id", "workspace", "kind", "tasks", "dataset", "standing", "begun_by", "created_at", "finished_at"]
    list_filter = ["state", "kind", "workspace"]
    search_fields = ["pk", "dataset__name__icontains"]
    list_select_related = ["workspace", "dataset"]
    readonly_fields = ["standing"]
    fields = [
        "workspace",
        "kind",
        "dataset",
        "tasks",
        "base_model",
        "encoder",
        "initial_model",
        "pool",
        "documents_wanted",
        "parameters",
        "hyperparameters",
        "seed",
        "user_limit",
        "train_experiment",
        "dev_experiment",
        "standing",
        "error",
        "trained_model",
        "replaces",
        "begun_by",
        "created_at",
        "finished_at",
    ]

    @display(description="State", label=_TRAINING_COLORS)
    def standing(self, training: ModelTraining) -> str:
        """Where it stands, as a word in a colour."""
        return training.state


@admin.register(DocumentFeedback)
class DocumentFeedbackAdmin(ReadOnlyAdmin):
    """What single documents were worth to a base model: ids and numbers, from which encoders learn."""

    list_display = ["id", "question_id", "end_user", "settings_digest", "created_at"]
    search_fields = ["pk", "question__id", "end_user__external_id", "settings_digest__startswith"]
    search_help_text = "A number of ours, a question's, the whole name of an end user, or how a digest begins."
    list_select_related = ["end_user"]
    fields = ["question", "end_user", "settings_digest", "document_ids", "utilities", "created_at"]
