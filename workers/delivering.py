"""The job that delivers webhooks: several at a time, in threads that do nothing but send.

All reading and recording is this thread's, so the others need no connection to the database. Whoever is slow or silent
holds up nobody else: an endpoint is sent a few at a time, what would wait long for its endpoint's turn goes back to the
queue, and what goes to a silent one waits until that one is tried again.
"""

import random
import time
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Final

from common.outgoing import Answer, post
from jobs.batches import Batch, ClaimedJob
from jobs.heart import heart
from users_app.models import WebhookDelivery
from users_app.webhook_deliveries import (
    Nothing,
    drop,
    pending_deliveries,
    record_answer,
    request_of,
    rests_seconds,
)
from users_app.webhooks import reach

_AT_ONCE: Final = 16
_OF_AN_ENDPOINT: Final = 4
_HELD: Final = 64
# After so long nothing more is begun: other kinds of the queue have their turn.
_BEGIN_SECONDS: Final = 5.0
# What would wait longer for its endpoint's turn, as fast as that one is, goes back.
_PATIENCE_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 0.2
# It stays away for a quarter of its age, so that a backlog does not come back as one.
_LEAST_AWAY_SECONDS: Final = 2.0
_MOST_AWAY_SECONDS: Final = 120.0


def handle(jobs: Batch) -> None:
    """Deliver these, and what else comes to wait while some of them take their time."""
    _Delivering(jobs).run()


@dataclass
class _Sending:
    job: ClaimedJob
    delivery: WebhookDelivery
    since: float = field(default_factory=time.monotonic)

    def seconds(self) -> float:
        return time.monotonic() - self.since


class _Delivering:
    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._waiting: list[tuple[ClaimedJob, WebhookDelivery]] = []
        self._sending: dict[Future[Answer], _Sending] = {}
        # By endpoint: how long it took to answer the last time.
        self._took: dict[int, float] = {}
        self._until = time.monotonic() + _BEGIN_SECONDS
        self._look_at = 0.0

    def run(self) -> None:
        self._take(list(self._batch))
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="webhook") as threads:
            while self._waiting or self._sending:
                self._begin(threads)
                if self._sending:
                    done, _ = wait(self._sending, timeout=_LOOK_SECONDS, return_when=FIRST_COMPLETED)
                    for future in done:
                        self._record(self._sending.pop(future), future)
                    self._take_more()

    def _may_begin(self) -> bool:
        return not heart.stopping and time.monotonic() < self._until

    def _take_more(self) -> None:
        room = _HELD - len(self._sending) - len(self._waiting)
        if self._may_begin() and room > 0 and time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _LOOK_SECONDS
            self._take(self._batch.more(room))

    def _take(self, jobs: list[ClaimedJob]) -> None:
        deliveries = pending_deliveries([job.payload["delivery_id"] for job in jobs])
        for job in jobs:
            delivery = deliveries.get(job.payload["delivery_id"])
            if delivery is not None:
                self._waiting.append((job, delivery))
                continue
            # It has ended, or was deleted with its endpoint.
            with job.isolated(), job.finishing(result={"state": "gone"}):
                pass

    def _begin(self, threads: ThreadPoolExecutor) -> None:
        """Send what may be sent now, give back what should not be waited for, and keep the rest."""
        under_way: Counter[int] = Counter()
        pace = dict(self._took)
        for sending in self._sending.values():
            endpoint_id = sending.delivery.endpoint_id
            under_way[endpoint_id] += 1
            pace[endpoint_id] = max(pace.get(endpoint_id, 0.0), sending.seconds())
        kept: list[tuple[ClaimedJob, WebhookDelivery]] = []
        behind: Counter[int] = Counter()
        for job, delivery in self._waiting:
            endpoint_id = delivery.endpoint_id
            if not self._may_begin():
                _give_back(job, 0.0)
            elif rest := rests_seconds(delivery.endpoint):
                _give_back(job, rest * random.uniform(1.0, 1.5))  # noqa: S311 - spreads load
            elif under_way[endpoint_id] < _OF_AN_ENDPOINT and len(self._sending) < _AT_ONCE:
                under_way[endpoint_id] += self._send(threads, job, delivery)
            elif behind[endpoint_id] * pace.get(endpoint_id, 0.0) > _PATIENCE_SECONDS * _OF_AN_ENDPOINT:
                _give_back(job, _away_seconds(delivery))
            else:
                behind[endpoint_id] += 1
                kept.append((job, delivery))
        self._waiting = kept

    def _send(self, threads: ThreadPoolExecutor, job: ClaimedJob, delivery: WebhookDelivery) -> bool:
        """Begin to send it; False where there is nothing to be sent."""
        with job.isolated():
            job.check()
            request = request_of(delivery)
            if isinstance(request, Nothing):
                with job.finishing() as result:
                    result["state"] = drop(delivery, request)
                return False
            future = threads.submit(post, request.url, body=request.body, headers=request.headers, reach=reach())
            self._sending[future] = _Sending(job, delivery)
            return True
        return False

    def _record(self, sent: _Sending, future: Future[Answer]) -> None:
        endpoint_id = sent.delivery.endpoint_id
        self._took[endpoint_id] = sent.seconds()
        with sent.job.isolated():
            answer = future.result()
            with sent.job.finishing() as result:
                result["state"] = record_answer(sent.delivery, answer)
            if answer.status is None:
                # It rests from now on: what else is in hand for it goes back.
                for _, delivery in self._waiting:
                    if delivery.endpoint_id == endpoint_id:
                        delivery.endpoint.refresh_from_db(fields=["resting_until"])


def _give_back(job: ClaimedJob, delay_seconds: float) -> None:
    with job.isolated():
        job.give_back(delay_seconds=delay_seconds)


def _away_seconds(delivery: WebhookDelivery) -> float:
    age = time.time() - delivery.created_at.timestamp()
    away = min(_MOST_AWAY_SECONDS, max(_LEAST_AWAY_SECONDS, age / 4))
    return away * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load
