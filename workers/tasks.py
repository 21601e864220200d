"""The Celery tasks: thin answers to the doorbell. What is done stands in `jobs`."""

import logging

from celery import shared_task

from jobs import bells, errors, runner, services
from training_app.retraining import schedules
from training_app.retraining.sweeps import request_scheduled_sweep

logger = logging.getLogger(__name__)


@shared_task(name=bells.TASK)
def ring(kind: str) -> None:
    """There is work of this kind: claim and run what waits."""
    try:
        runner.answer_bell(kind, ring=bells.ring)
    except Exception as exc:  # noqa: BLE001 - Celery would log the message, and a database error quotes the row
        logger.error("a bell for %s was not answered, the sweep will ring: %s", kind, errors.describe(exc).for_log())


@shared_task(name="workers.sweep")
def sweep() -> None:
    """One sweep on demand; beat's own process sweeps by itself (`jobs.sweeper`)."""
    services.sweep()


@shared_task(name=schedules.TASK)
def sweep_retraining(policy_id: int) -> None:
    """A retraining policy's time has come. A tick that is lost with the broker is made up for by the next one."""
    try:
        request_scheduled_sweep(policy_id=policy_id)
    except Exception as exc:  # noqa: BLE001 - as above
        logger.error("policy %d was not swept: %s", policy_id, errors.describe(exc).for_log())
