from django.apps import AppConfig


class UsersAppConfig(AppConfig):
    name = "users_app"
    verbose_name = "Who"

    def ready(self) -> None:
        from common import workspace_access
        from common.api.idempotency import forget_old_records
        from jobs import kinds, sweeps
        from users_app import caches, erasers, exporting, webhook_events
        from users_app.audit import sweep_audit
        from users_app.erasing import ERASER
        from users_app.erasure_sweep import sweep_erasures
        from users_app.exports import EXPORTER
        from users_app.kinds import DELIVER_WEBHOOK, FINISH_ERASURE
        from users_app.models import Workspace
        from users_app.selectors import workspaces_granted
        from users_app.staging import forget_copied
        from users_app.usage import sweep_usage
        from users_app.webhook_sweep import sweep_webhooks

        workspace_access.register(workspace=Workspace, granted=workspaces_granted)
        kinds.register(FINISH_ERASURE)
        kinds.register(DELIVER_WEBHOOK)
        sweeps.register(sweep_erasures)
        sweeps.register(forget_old_records)
        sweeps.register(sweep_webhooks)
        webhook_events.register(webhook_events.OF_JOBS)
        sweeps.register(sweep_usage)
        sweeps.register(sweep_audit)
        erasers.register(ERASER)
        exporting.register(EXPORTER)
        caches.register(forget_copied)
