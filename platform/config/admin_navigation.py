"""The sidebar of the admin: what there is, in the order in which people look for it."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import escape

from common.navigation import destinations
from common.workspace_access import workspaces_granted
from users_app.selectors import workspaces_of_staff

_MOST_WORKSPACES = 8
# Of each model: what it is called here, its app and name, and its picture.
_GROUPS: list[tuple[str, list[tuple[str, str, str]]]] = [
    (
        "Evaluation",
        [
            ("Datasets", "eval_app_dataset", "database"),
            ("Splits", "eval_app_datasetsplit", "splitscreen"),
            ("Questions", "eval_app_question", "help"),
            ("Imports", "eval_app_datasetimport", "download"),
            ("Problems of imports", "eval_app_importproblem", "report"),
            ("Uploads", "eval_app_upload", "upload_file"),
            ("Experiments", "eval_app_experiment", "science"),
            ("Columns", "eval_app_experimentrun", "view_column"),
            ("Comparisons", "eval_app_experimentcomparison", "compare_arrows"),
            ("Runs", "eval_app_run", "play_circle"),
            ("Predictions", "eval_app_prediction", "chat"),
            ("Improvements", "eval_app_userimprovement", "trending_up"),
            ("Trainings", "eval_app_modeltraining", "school"),
            ("Trained models", "retrieval_app_trainedmodel", "psychology"),
        ],
    ),
    (
        "People",
        [
            ("End users", "users_app_enduser", "group"),
            ("Documents", "users_app_document", "description"),
            ("Profile entries", "users_app_profileentry", "list"),
            ("Profile tallies", "users_app_profiletally", "calculate"),
            ("Learned profiles", "training_app_learnedprofile", "bookmark_added"),
            ("Embeddings", "retrieval_app_embedding", "scatter_plot"),
            ("Adapters", "training_app_adapter", "tune"),
            ("Serving choices", "training_app_servingchoice", "swap_horiz"),
            ("Participants", "retrieval_app_participant", "diversity_3"),
            ("Document feedback", "eval_app_documentfeedback", "fact_check"),
            ("Generations", "training_app_generation", "auto_awesome"),
            ("Erasures", "users_app_erasurereceipt", "delete_sweep"),
        ],
    ),
    (
        "Retraining",
        [
            ("Policies", "training_app_retrainingpolicy", "autorenew"),
            ("Sweeps", "training_app_retrainingsweep", "cleaning_services"),
            ("Retrainings", "training_app_retraining", "model_training"),
        ],
    ),
    (
        "Work",
        [
            ("Queues", "queues", "monitoring"),
            ("Jobs", "jobs_job", "work"),
            ("Workers", "jobs_worker", "memory"),
            ("Schedules", "django_celery_beat_periodictask", "schedule"),
            ("Base models", "training_app_basemodel", "model_training"),
            ("Encoders", "retrieval_app_encoder", "data_array"),
        ],
    ),
    (
        "Access",
        [
            ("Workspaces", "users_app_workspace", "workspaces"),
            ("API keys", "users_app_apikey", "key"),
            ("Tasks of one's own", "users_app_workspacetask", "assignment"),
            ("Webhooks", "users_app_webhookendpoint", "webhook"),
            ("Deliveries", "users_app_webhookdelivery", "outbox"),
            ("Usage", "users_app_usage", "data_usage"),
            ("Audit log", "users_app_auditentry", "history"),
            ("Answered requests", "common_idempotencyrecord", "repeat"),
            ("Staff", "auth_user", "badge"),
            ("Groups", "auth_group", "groups"),
        ],
    ),
]
_OF_THE_INSTALLATION = {
    "jobs_worker",
    "django_celery_beat_periodictask",
    "training_app_basemodel",
    "retrieval_app_encoder",
    "auth_user",
    "auth_group",
}


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The pages of whoever asks, and the lists that they may see."""
    granted = workspaces_granted(request)
    groups = [_pages(request)] if granted is None or granted else []
    for title, listed in _GROUPS:
        items = [
            {"title": name, "icon": icon, "link": _address(model), "active": _is_active(request, _address(model))}
            for name, model, icon in listed
            if granted is None or (granted and model not in _OF_THE_INSTALLATION)
        ]
        groups.append({"title": title, "collapsible": True, "items": items})
    return groups


def _pages(request: HttpRequest) -> dict[str, Any]:
    """Those of the one workspace, or where each of several begins. Items' titles are shown as they are, unescaped."""
    workspaces = list(workspaces_of_staff(user=request.user)[: _MOST_WORKSPACES + 1])
    if len(workspaces) == 1:
        [workspace] = workspaces
        items = [
            {"title": page.title, "icon": "lightbulb", "link": reverse(page.name, kwargs={"workspace": workspace.slug})}
            for page in destinations()
        ]
        return {"title": workspace.name or workspace.slug, "items": items}
    items = [
        {
            "title": escape(workspace.name or workspace.slug),
            "icon": "lightbulb",
            "link": reverse("experiments", kwargs={"workspace": workspace.slug}),
        }
        for workspace in workspaces[:_MOST_WORKSPACES]
    ]
    if len(workspaces) > _MOST_WORKSPACES:
        items.append({"title": "All workspaces", "icon": "apps", "link": reverse("home")})
    return {"title": "Workspaces", "items": items}


def _address(model: str) -> str:
    return reverse("admin:queues" if model == "queues" else f"admin:{model}_changelist")


def _is_active(request: HttpRequest, address: str) -> bool:
    if address == reverse("admin:jobs_job_changelist") and request.path == reverse("admin:queues"):
        return False
    return request.path.startswith(address)
