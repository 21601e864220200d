"""What happens when a Celery worker or beat starts and stops.

The worker's main process keeps the worker's row. Pool processes are forked from it, inherit its id and have hearts of
their own; that the worker is stopping reaches them over the row (`jobs.heart`).
"""

import uuid
from typing import Any

from celery import signals

from common.monitoring.publishing import publisher
from jobs import bells, nodes
from jobs.hearing import hearing_of
from jobs.heart import heart
from jobs.sweeper import Sweeper
from workers.forgetting import forgetting


def connect() -> None:
    """Listen to Celery's signals; outside a worker or beat none of them is ever sent."""
    signals.worker_init.connect(_name_worker, dispatch_uid="jobs.name_worker")
    signals.worker_ready.connect(_start_heart, dispatch_uid="jobs.start_heart")
    # A pool without processes of its own works in the main one.
    signals.worker_ready.connect(_start_threads, dispatch_uid="workers.start_threads")
    signals.worker_process_init.connect(_start_threads, dispatch_uid="workers.start_threads_in_pool")
    signals.worker_process_shutdown.connect(_publish_the_rest, dispatch_uid="workers.publish_the_rest")
    signals.worker_shutting_down.connect(_stop_gently, dispatch_uid="jobs.stop_gently")
    signals.worker_shutdown.connect(_say_goodbye, dispatch_uid="jobs.say_goodbye")
    signals.beat_init.connect(_start_sweeper, dispatch_uid="jobs.start_sweeper")
    signals.beat_embedded_init.connect(_start_sweeper, dispatch_uid="jobs.start_sweeper_embedded")


def _name_worker(sender: Any, **_: Any) -> None:
    # Before the pool forks, and without a connection that its processes would inherit.
    heart.worker_id = uuid.uuid4()
    heart.queues = _queues_of(sender)


def _start_heart(sender: Any, **_: Any) -> None:
    # Here and not above: every process of ours loads this module, only a worker has a worker's state.
    from celery.worker import state

    worker = sender.controller
    queues = _queues_of(worker)
    pool = worker.pool_cls if isinstance(worker.pool_cls, str) else worker.pool_cls.__module__.rpartition(".")[2]
    node = nodes.Node(
        id=heart.worker_id or uuid.uuid4(),
        hostname=str(worker.hostname),
        queues=queues,
        concurrency=int(worker.concurrency or 1),
        pool=pool,
    )
    # A bell that was lost while no worker ran is rung again as soon as the worker is known to live.
    hearing = hearing_of(queues, busy=lambda: len(state.reserved_requests) > 0)
    signals.task_received.connect(lambda **_: hearing.heard(), weak=False, dispatch_uid="jobs.hear")
    heart.serve(node, on_first_beat=lambda: bells.ring_waiting(queues), hearing=hearing)


def _queues_of(worker: Any) -> tuple[str, ...]:
    return tuple(sorted(str(name) for name in worker.app.amqp.queues.consume_from))


def _start_threads(**_: Any) -> None:
    forgetting.start()
    publisher.start()


def _publish_the_rest(**_: Any) -> None:
    # A pool's process ends without running what Python does at an exit.
    publisher.end()


def _stop_gently(**_: Any) -> None:
    heart.request_stop()


def _say_goodbye(**_: Any) -> None:
    heart.leave()


def _start_sweeper(**_: Any) -> None:
    Sweeper().start()
    publisher.start()
