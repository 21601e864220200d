"""Webhook endpoints of a workspace: made, changed, given a new secret, deleted; and deliveries asked for by hand."""

import secrets
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from common.addresses import CONNECT_SECONDS, Reach, Refused, addresses_of, parse_url
from jobs.services import enqueue
from users_app.audit import INSTALLATION, Actor, record
from users_app.models import ApiKey, AuditEntry, WebhookDelivery, WebhookEndpoint, Workspace
from users_app.webhook_events import PING
from users_app.webhook_recording import delivery_job
from users_app.webhook_signing import SALT_BYTES

MOST_PINGS: Final = 100
"""How many of one endpoint may wait."""


class TooManyWebhooks(ValueError):
    """The workspace has as many endpoints as it may have."""

    safe_message = True


class WebhookDisabled(ValueError):
    """Nothing is sent to the endpoint."""

    safe_message = True


class StillPending(ValueError):
    """The delivery is still tried, or too many others are."""

    safe_message = True


def webhooks_of(*, workspace: Workspace) -> QuerySet[WebhookEndpoint]:
    """The endpoints of `workspace`."""
    return WebhookEndpoint.objects.filter(workspace=workspace, removed_at__isnull=True)


def host_of(endpoint: WebhookEndpoint) -> str:
    """Scheme and host of its URL, whose path and query may be the secret of whoever listens there.

    Empty where today's rules would not have let the URL in; nothing is sent there.
    """
    try:
        url = parse_url(endpoint.url)
    except Refused:
        return ""
    return f"{url.scheme}://{url.authority}"


def deliveries_of(*, endpoint: WebhookEndpoint) -> QuerySet[WebhookDelivery]:
    """What an endpoint was, or is to be, told."""
    return WebhookDelivery.objects.filter(endpoint=endpoint)


def reach() -> Reach:
    """Where the settings let webhooks go."""
    return Reach(networks=settings.WEBHOOK_ALLOWED_NETWORKS, plain_http=settings.WEBHOOK_ALLOW_HTTP)


def check_url(url: str) -> None:
    """Raise `common.addresses.Refused` where webhooks do not go to `url`. Looks the host's name up."""
    addresses_of(parse_url(url), reach=reach(), timeout_seconds=CONNECT_SECONDS)


@transaction.atomic
def create_webhook(
    *,
    workspace: Workspace,
    url: str,
    event_types: Collection[str],
    enabled: bool = True,
    created_by: ApiKey | None = None,
    by: Actor = INSTALLATION,
) -> WebhookEndpoint:
    """Tell `url`, which was checked, of events of these types from now on. Raises `TooManyWebhooks`."""
    # One at a time, so that they can be counted.
    Workspace.objects.select_for_update(no_key=True).get(pk=workspace.pk)
    most = settings.WEBHOOKS_OF_A_WORKSPACE
    if webhooks_of(workspace=workspace).count() >= most:
        raise TooManyWebhooks(f"This workspace has {most} webhooks, which is the most. Delete one.")
    endpoint = WebhookEndpoint(
        workspace=workspace,
        url=url,
        event_types=sorted(set(event_types)),
        secret_salt=secrets.token_bytes(SALT_BYTES),
        created_by=created_by,
        **({} if enabled else _disabled(WebhookEndpoint.Disabled.ASKED)),
    )
    endpoint.save(force_insert=True)
    endpoint.refresh_from_db()
    _record(endpoint, AuditEntry.Action.WEBHOOK_CREATED, by, event_types=endpoint.event_types)
    return endpoint


def change_webhook(
    *, endpoint: WebhookEndpoint, changes: Mapping[str, Any], by: Actor = INSTALLATION
) -> WebhookEndpoint:
    """Change `url` (which was checked), `event_types` or `enabled`, those that are among `changes`.

    One that is enabled begins anew: its failures are forgotten. What happened meanwhile it is not told.
    """
    values: dict[str, Any] = {}
    if "url" in changes:
        values |= {"url": changes["url"], "unanswered": 0, "resting_until": None}
    if "event_types" in changes:
        values["event_types"] = sorted(set(changes["event_types"]))
    with transaction.atomic():
        standing = WebhookEndpoint.objects.select_for_update(no_key=True).get(pk=endpoint.pk)
        if changes.get("enabled") is True and standing.disabled_at is not None:
            values |= {
                "disabled_at": None,
                "disabled_reason": "",
                "failing_since": None,
                "unanswered": 0,
                "resting_until": None,
            }
        if changes.get("enabled") is False and standing.disabled_at is None:
            values |= _disabled(WebhookEndpoint.Disabled.ASKED)
        if values and WebhookEndpoint.objects.filter(pk=endpoint.pk, removed_at__isnull=True).update(**values):
            _record_change(standing, WebhookEndpoint.objects.get(pk=endpoint.pk), by)
    endpoint.refresh_from_db()
    return endpoint


@transaction.atomic
def rotate_secret(*, endpoint: WebhookEndpoint, by: Actor = INSTALLATION) -> WebhookEndpoint:
    """Give the endpoint a new secret. The old one signs beside it for `WEBHOOK_ROTATION_HOURS`, older ones no more."""
    standing = WebhookEndpoint.objects.select_for_update(no_key=True).get(pk=endpoint.pk)
    standing.previous_salt = bytes(standing.secret_salt)
    standing.previous_until = timezone.now() + timedelta(hours=settings.WEBHOOK_ROTATION_HOURS)
    standing.secret_salt = secrets.token_bytes(SALT_BYTES)
    standing.secret_number += 1
    standing.save(update_fields=["previous_salt", "previous_until", "secret_salt", "secret_number"])
    _record(standing, AuditEntry.Action.WEBHOOK_CHANGED, by, changed=["secret"])
    return standing


@transaction.atomic
def delete_webhook(*, endpoint: WebhookEndpoint, by: Actor = INSTALLATION) -> None:
    """Tell it nothing more, and show it to nobody; a sweep deletes its deliveries and then the row."""
    if WebhookEndpoint.objects.filter(pk=endpoint.pk, removed_at__isnull=True).update(
        **_disabled(WebhookEndpoint.Disabled.ASKED), removed_at=Now()
    ):
        _record(endpoint, AuditEntry.Action.WEBHOOK_DELETED, by)


@transaction.atomic
def send_ping(*, endpoint: WebhookEndpoint) -> WebhookDelivery:
    """Send the endpoint an event that says nothing. Raises `WebhookDisabled`, and `StillPending` for one too many."""
    standing = _held(endpoint)
    waiting = deliveries_of(endpoint=standing).filter(state=WebhookDelivery.State.PENDING, event_type=PING)
    if waiting[:MOST_PINGS].count() >= MOST_PINGS:
        raise StillPending(f"{MOST_PINGS} pings wait for this webhook already. See why under its deliveries.")
    delivery = WebhookDelivery.objects.create(endpoint=standing, event_type=PING, next_attempt_at=Now())
    enqueue(delivery_job(delivery.pk, attempts=0))
    delivery.refresh_from_db()
    return delivery


@transaction.atomic
def redeliver(*, delivery: WebhookDelivery) -> WebhookDelivery:
    """Send it once more, under the same message id and with all attempts; what is said is read anew.

    Raises `WebhookDisabled`, and `StillPending` for one that has not ended.
    """
    _held(delivery.endpoint)
    again = WebhookDelivery.objects.filter(pk=delivery.pk).exclude(state=WebhookDelivery.State.PENDING)
    if not again.update(
        state=WebhookDelivery.State.PENDING,
        attempts=0,
        next_attempt_at=Now(),
        finished_at=None,
        status_code=None,
        error="",
    ):
        raise StillPending("This delivery has not ended yet: it is tried again by itself.")
    enqueue(delivery_job(delivery.pk, attempts=0))
    delivery.refresh_from_db()
    return delivery


def _held(endpoint: WebhookEndpoint) -> WebhookEndpoint:
    """The endpoint as it stands, which nobody disables or changes before the transaction's end."""
    standing = WebhookEndpoint.objects.select_for_update(no_key=True).get(pk=endpoint.pk)
    if standing.disabled_at is not None:
        raise WebhookDisabled("This webhook is disabled. Set “enabled” to true first.")
    return standing


def _record_change(before: WebhookEndpoint, after: WebhookEndpoint, by: Actor) -> None:
    changed = [name for name in ("url", "event_types") if getattr(before, name) != getattr(after, name)]
    if (before.disabled_at is None) != (after.disabled_at is None):
        changed.append("enabled")
    if changed:
        enabled = after.disabled_at is None
        _record(
            after,
            AuditEntry.Action.WEBHOOK_CHANGED,
            by,
            changed=changed,
            event_types=after.event_types,
            enabled=enabled,
        )


def _record(endpoint: WebhookEndpoint, action: AuditEntry.Action, by: Actor, **details: Any) -> None:
    told = {"to": host_of(endpoint), **details}
    record(workspace=endpoint.workspace, action=action, by=by, subject=str(endpoint.pk), details=told)


def _disabled(reason: WebhookEndpoint.Disabled) -> dict[str, Any]:
    return {"disabled_at": Now(), "disabled_reason": reason}
