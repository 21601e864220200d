"""Webhooks of a workspace. Whom they call, and what drives them, are fixtures of `tests.conftest`."""

from typing import Any

from users_app.models import WebhookDelivery, WebhookEndpoint, Workspace
from users_app.webhooks import create_webhook

EVERYTHING = ("generation.finished", "job.finished")


def webhook(workspace: Workspace, url: str, **told: Any) -> WebhookEndpoint:
    """One that hears of everything unless told."""
    return create_webhook(workspace=workspace, url=url, **{"event_types": EVERYTHING, **told})


def states() -> list[str]:
    """How the deliveries stand, the first first."""
    return list(WebhookDelivery.objects.order_by("pk").values_list("state", flat=True))
