"""What beat's sweep does for webhooks: finds deliveries whose job got lost, gives up what nobody can use, forgets."""

from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models import CharField, Count, Exists, OuterRef, QuerySet, Value
from django.db.models.functions import Cast, Concat, Now

from jobs.models import UNFINISHED, Job
from jobs.services import enqueue_many
from users_app.models import WebhookDelivery, WebhookEndpoint
from users_app.webhook_recording import delivery_job

# Before that its job may just be made, or at it.
_LOST_AFTER: Final = timedelta(seconds=60)
# What could not even be tried for so long, behind an endpoint that is silent, is news no more.
_GIVEN_UP_AFTER: Final = timedelta(days=2)
_CHUNK: Final = 1_000
_CHUNKS_AT_ONCE: Final = 20


def sweep_webhooks() -> None:
    """All of it."""
    ask_for_lost_jobs()
    give_up_old_deliveries()
    disable_overwhelmed()
    forget_old_deliveries()
    delete_removed()


def ask_for_lost_jobs() -> int:
    """Ask again for the next attempt of deliveries that wait while no job does; how many there were."""
    key = Concat(
        Value("webhook:"), Cast(OuterRef("pk"), CharField()), Value(":"), Cast(OuterRef("attempts"), CharField())
    )
    # The last condition is the index's own.
    under_way = Exists(Job.objects.filter(dedupe_key=key, state__in=UNFINISHED, dedupe_key__isnull=False))
    lost = _pending().filter(~under_way, next_attempt_at__lt=Now() - _LOST_AFTER).order_by("next_attempt_at")
    return len(
        enqueue_many(
            delivery_job(delivery_id, attempts=attempts)
            for delivery_id, attempts in lost.values_list("pk", "attempts")[:_CHUNK]
        )
    )


def give_up_old_deliveries() -> int:
    """End as failed what has been due for days without being tried; how many there were."""
    overdue = _pending().filter(next_attempt_at__lt=Now() - _GIVEN_UP_AFTER).order_by("next_attempt_at")
    given_up = 0
    for _ in range(_CHUNKS_AT_ONCE):
        ids = list(overdue.values_list("pk", flat=True)[:_CHUNK])
        if not ids:
            break
        given_up += (
            _pending()
            .filter(pk__in=ids)
            .update(
                state=WebhookDelivery.State.FAILED,
                error="never-tried",
                status_code=None,
                finished_at=Now(),
                next_attempt_at=None,
            )
        )
    return given_up


def disable_overwhelmed() -> int:
    """Disable the endpoints for which more than `WEBHOOK_BACKLOG` deliveries wait; how many there were."""
    waiting = _pending().order_by().values("endpoint").annotate(count=Count("*"))
    overwhelmed = waiting.filter(count__gt=settings.WEBHOOK_BACKLOG).values_list("endpoint", flat=True)
    return WebhookEndpoint.objects.filter(pk__in=list(overwhelmed), disabled_at__isnull=True).update(
        disabled_at=Now(), disabled_reason=WebhookEndpoint.Disabled.BACKLOG
    )


def forget_old_deliveries() -> int:
    """Delete what ended more than `WEBHOOK_RETENTION_DAYS` ago, in short transactions; how many rows that were."""
    old = WebhookDelivery.objects.filter(finished_at__lt=Now() - timedelta(days=settings.WEBHOOK_RETENTION_DAYS))
    return _delete_some(old.order_by("finished_at"))


def delete_removed() -> int:
    """Delete what is left of endpoints that clients have deleted: deliveries first; how many endpoints are gone."""
    gone = 0
    for endpoint in WebhookEndpoint.objects.filter(removed_at__isnull=False).order_by("pk")[:_CHUNK]:
        deliveries = WebhookDelivery.objects.filter(endpoint=endpoint)
        _delete_some(deliveries.order_by("pk"))
        with transaction.atomic():
            # An event that was being recorded when it was deleted has ended then.
            WebhookEndpoint.objects.select_for_update().filter(pk=endpoint.pk).first()
            if not deliveries.exists():
                WebhookEndpoint.objects.filter(pk=endpoint.pk).delete()
                gone += 1
    return gone


def _pending() -> QuerySet[WebhookDelivery]:
    return WebhookDelivery.objects.filter(state=WebhookDelivery.State.PENDING)


def _delete_some(deliveries: QuerySet[WebhookDelivery]) -> int:
    deleted = 0
    for _ in range(_CHUNKS_AT_ONCE):
        ids = list(deliveries.values_list("pk", flat=True)[:_CHUNK])
        WebhookDelivery.objects.filter(pk__in=ids).delete()
        deleted += len(ids)
        if len(ids) < _CHUNK:
            break
    return deleted
