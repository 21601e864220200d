"""What is sent of a delivery, and what becomes of it: the half of delivering that has to do with the database."""

import json
import random
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from common.addresses import Refused, Url, parse_url
from common.outgoing import Answer
from jobs.services import enqueue
from users_app.models import WebhookDelivery, WebhookEndpoint
from users_app.webhook_events import PING, Told, read_event
from users_app.webhook_recording import delivery_job
from users_app.webhook_signing import signed_headers

PAUSES_SECONDS: Final = (5, 30, 120, 600, 1_800, 3_600, 10_800, 21_600, 43_200)
"""How long the attempt after the first, the second … waits: 23 hours in all, each spread by a fifth."""
REST_SECONDS: Final = 5.0
"""How long an endpoint is spared that did not answer at all; it doubles with each time in a row, up to the most."""
_MOST_REST_SECONDS: Final = 300.0
_GONE: Final = 410


@dataclass(frozen=True)
class Request:
    """What is posted."""

    url: Url
    body: bytes
    headers: dict[str, str]


@dataclass(frozen=True)
class Nothing:
    """That nothing is sent, and a word for why."""

    why: str


def pending_deliveries(delivery_ids: Collection[int]) -> dict[int, WebhookDelivery]:
    """Those of them that are to be sent, with their endpoints and workspaces, by number."""
    return (
        WebhookDelivery.objects.filter(state=WebhookDelivery.State.PENDING)
        .select_related("endpoint__workspace")
        .in_bulk(list(delivery_ids))
    )


def request_of(delivery: WebhookDelivery) -> Request | Nothing:
    """What is sent of the delivery now, signed now. Everything that may have changed since is read anew."""
    endpoint = WebhookEndpoint.objects.select_related("workspace").filter(pk=delivery.endpoint_id).first()
    if endpoint is None or endpoint.disabled_at is not None:
        return Nothing("endpoint-disabled")
    told = _told(delivery, endpoint)
    if told is None:
        return Nothing("subject-gone")
    try:
        url = parse_url(endpoint.url)
    except Refused:
        return Nothing("url-refused")
    content = {"type": delivery.event_type, "timestamp": told.at.isoformat().replace("+00:00", "Z"), "data": told.data}
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    message_id = f"msg_{delivery.message_id.hex}"
    signed = signed_headers(endpoint, message_id=message_id, timestamp=int(time.time()), body=body)
    return Request(
        url, body, {"Content-Type": "application/json; charset=utf-8", "User-Agent": "Lamppost-Webhooks/1", **signed}
    )


def rests_seconds(endpoint: WebhookEndpoint) -> float:
    """How long the endpoint is still spared; 0 where it is not."""
    if endpoint.resting_until is None:
        return 0.0
    return max(0.0, (endpoint.resting_until - timezone.now()).total_seconds())


def record_answer(delivery: WebhookDelivery, answer: Answer) -> str:
    """Record the attempt, and ask for the next where there is one; the state of the delivery.

    Runs in the transaction that ends the attempt's job. What was recorded or changed by others meanwhile stays.
    """
    delivered = answer.status is not None and 200 <= answer.status < 300
    # The endpoint first: whoever sweeps takes it before its deliveries, too.
    standing = _note_success(delivery) if delivered else _note_failure(delivery, answer)
    last = {"status_code": answer.status, "error": answer.error, "attempts": delivery.attempts + 1}
    if delivered:
        return _end(delivery, WebhookDelivery.State.DELIVERED, last)
    if not standing:
        return _end(delivery, WebhookDelivery.State.FAILED, last)
    if delivery.attempts >= len(PAUSES_SECONDS):
        return _end(delivery, WebhookDelivery.State.FAILED, last)
    pause = PAUSES_SECONDS[delivery.attempts] * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load
    if _this_attempt(delivery).update(**last, next_attempt_at=Now() + timedelta(seconds=pause)):
        enqueue(delivery_job(delivery.pk, attempts=delivery.attempts + 1, delay_seconds=pause))
    return str(WebhookDelivery.State.PENDING)


def drop(delivery: WebhookDelivery, nothing: Nothing) -> str:
    """Record that nothing is sent of it any more."""
    return _end(delivery, WebhookDelivery.State.DROPPED, {"error": nothing.why, "status_code": None})


def _told(delivery: WebhookDelivery, endpoint: WebhookEndpoint) -> Told | None:
    if delivery.event_type == PING or delivery.subject_id is None:
        return Told(delivery.created_at, {})
    return read_event(
        workspace=endpoint.workspace,
        event_type=delivery.event_type,
        subject_id=delivery.subject_id,
        outcome=delivery.outcome,
    )


def _note_success(delivery: WebhookDelivery) -> bool:
    troubled = Q(failing_since__isnull=False) | Q(resting_until__isnull=False) | Q(unanswered__gt=0)
    WebhookEndpoint.objects.filter(troubled, pk=delivery.endpoint_id).update(
        failing_since=None, unanswered=0, resting_until=None
    )
    return True


def _note_failure(delivery: WebhookDelivery, answer: Answer) -> bool:
    """What the failure means for the endpoint; whether it will be asked again."""
    endpoint = WebhookEndpoint.objects.select_for_update(no_key=True).filter(pk=delivery.endpoint_id).first()
    if endpoint is None or endpoint.disabled_at is not None:
        return False
    values: dict[str, Any] = {"failing_since": Coalesce(F("failing_since"), Now())}
    long_ago = timezone.now() - timedelta(days=settings.WEBHOOK_FAILING_DAYS)
    if answer.status == _GONE:
        values |= {"disabled_at": Now(), "disabled_reason": WebhookEndpoint.Disabled.GONE}
    elif endpoint.failing_since is not None and endpoint.failing_since < long_ago:
        values |= {"disabled_at": Now(), "disabled_reason": WebhookEndpoint.Disabled.FAILING}
    elif answer.status is None and not rests_seconds(endpoint):
        # Of several attempts that were under way together, the first counts.
        rest = min(_MOST_REST_SECONDS, REST_SECONDS * 2.0 ** min(endpoint.unanswered, 10))
        values |= {"unanswered": F("unanswered") + 1, "resting_until": Now() + timedelta(seconds=rest)}
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(**values)
    return "disabled_at" not in values


def _end(delivery: WebhookDelivery, state: WebhookDelivery.State, last: dict[str, Any]) -> str:
    _this_attempt(delivery).update(**last, state=state, finished_at=Now(), next_attempt_at=None)
    return str(state)


def _this_attempt(delivery: WebhookDelivery) -> QuerySet[WebhookDelivery]:
    return WebhookDelivery.objects.filter(
        pk=delivery.pk, state=WebhookDelivery.State.PENDING, attempts=delivery.attempts
    )
