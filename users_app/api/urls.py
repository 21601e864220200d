"""The endpoints about who, and jobs."""

from django.urls import URLPattern, URLResolver, path

from users_app.api.audit import AuditView
from users_app.api.documents import DocumentsView, DocumentView
from users_app.api.end_users import EndUserExportView, EndUsersView, EndUserView
from users_app.api.erasures import ErasuresView, ErasureView
from users_app.api.jobs import JobCancellationView, JobEventsView, JobsView, JobView
from users_app.api.tasks import TasksView, TaskVersionView, TaskView
from users_app.api.usage import UsageView
from users_app.api.webhooks import (
    WebhookDeliveriesView,
    WebhookRedeliveryView,
    WebhookSecretView,
    WebhooksView,
    WebhookTestView,
    WebhookView,
)

urlpatterns: list[URLPattern | URLResolver] = [
    path("users", EndUsersView.as_view(), name="users"),
    path("users/<external:user_id>", EndUserView.as_view(), name="user"),
    path("users/<external:user_id>/export", EndUserExportView.as_view(), name="user-export"),
    path("users/<external:user_id>/documents", DocumentsView.as_view(), name="documents"),
    path("users/<external:user_id>/documents/<external:document_id>", DocumentView.as_view(), name="document"),
    path("erasures", ErasuresView.as_view(), name="erasures"),
    path("erasures/<id:erasure_id>", ErasureView.as_view(), name="erasure"),
    path("usage", UsageView.as_view(), name="usage"),
    path("audit", AuditView.as_view(), name="audit"),
    path("jobs", JobsView.as_view(), name="jobs"),
    path("jobs/<id:job_id>", JobView.as_view(), name="job"),
    path("jobs/<id:job_id>/cancel", JobCancellationView.as_view(), name="job-cancel"),
    path("jobs/<id:job_id>/events", JobEventsView.as_view(), name="job-events"),
    path("tasks", TasksView.as_view(), name="tasks"),
    path("tasks/<external:key>", TaskView.as_view(), name="task"),
    path("tasks/<external:key>/versions/<external:version>", TaskVersionView.as_view(), name="task-version"),
    path("webhooks", WebhooksView.as_view(), name="webhooks"),
    path("webhooks/<id:webhook_id>", WebhookView.as_view(), name="webhook"),
    path("webhooks/<id:webhook_id>/rotate-secret", WebhookSecretView.as_view(), name="webhook-rotate-secret"),
    path("webhooks/<id:webhook_id>/test", WebhookTestView.as_view(), name="webhook-test"),
    path("webhooks/<id:webhook_id>/deliveries", WebhookDeliveriesView.as_view(), name="webhook-deliveries"),
    path(
        "webhooks/<id:webhook_id>/deliveries/<id:delivery_id>/redeliver",
        WebhookRedeliveryView.as_view(),
        name="webhook-redeliver",
    ),
]
