"""What the sweep finds: deliveries that lost their job, those nobody can use any more, and what is past its time."""

import threading
import time
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from jobs import sweeps
from jobs.models import Job
from jobs.services import sweep
from tests.webhooks import states, webhook
from users_app import webhook_sweep
from users_app.models import WebhookDelivery, WebhookEndpoint
from users_app.webhook_recording import Subject, record_events
from users_app.webhooks import change_webhook, delete_webhook, send_ping

pytestmark = pytest.mark.usefixtures("loopback")


@pytest.fixture
def endpoint(workspace, receiver):
    return webhook(workspace, receiver.url)


@pytest.fixture
def due(monkeypatch):
    monkeypatch.setattr(sweeps, "_due_at", {})


def ago(**told):
    return timezone.now() - timedelta(**told)


def overdue(delivery, **told):
    WebhookDelivery.objects.filter(pk=delivery.pk).update(next_attempt_at=ago(**told))


def test_a_delivery_whose_job_is_gone_is_sent_all_the_same(endpoint, receiver, deliver, due):
    lost = send_ping(endpoint=endpoint)
    Job.objects.all().delete()
    overdue(lost, seconds=61)
    sweep()
    deliver()
    assert states() == ["delivered"]
    assert len(receiver.received) == 1


def test_so_is_one_whose_job_has_failed(endpoint, receiver, deliver):
    lost = send_ping(endpoint=endpoint)
    Job.objects.update(state="failed", attempts=1, finished_at=timezone.now(), error_type="E")
    overdue(lost, seconds=61)
    assert webhook_sweep.ask_for_lost_jobs() == 1
    deliver()
    assert states() == ["delivered"]


def test_one_that_has_its_job_or_is_just_made_gets_no_second(endpoint):
    waiting, young = send_ping(endpoint=endpoint), send_ping(endpoint=endpoint)
    overdue(waiting, hours=1)
    Job.objects.filter(dedupe_key=f"webhook:{young.pk}:0").delete()
    assert webhook_sweep.ask_for_lost_jobs() == 0
    assert Job.objects.count() == 1


def test_what_could_not_be_tried_for_days_is_given_up(endpoint, receiver, deliver):
    old, young = send_ping(endpoint=endpoint), send_ping(endpoint=endpoint)
    overdue(old, days=2.1)
    overdue(young, days=1.9)
    assert webhook_sweep.give_up_old_deliveries() == 1
    old.refresh_from_db()
    assert (old.state, old.error) == ("failed", "never-tried")
    deliver()
    assert (states(), len(receiver.received)) == (["failed", "delivered"], 1)


def test_an_endpoint_for_which_too_many_wait_is_disabled(endpoint, workspace, receiver, settings):
    other = webhook(workspace, receiver.url)
    settings.WEBHOOK_BACKLOG = 2
    for one in (endpoint, endpoint, other, other):
        send_ping(endpoint=one)
    assert webhook_sweep.disable_overwhelmed() == 0
    send_ping(endpoint=other)
    assert webhook_sweep.disable_overwhelmed() == 1
    reasons = dict(WebhookEndpoint.objects.values_list("pk", "disabled_reason"))
    assert reasons == {endpoint.pk: "", other.pk: "backlog"}


def test_what_ended_long_ago_is_forgotten_and_what_waits_is_not(endpoint, deliver, settings):
    settings.WEBHOOK_RETENTION_DAYS = 3
    old, young = send_ping(endpoint=endpoint), send_ping(endpoint=endpoint)
    deliver()
    waiting = send_ping(endpoint=endpoint)
    WebhookDelivery.objects.filter(pk=old.pk).update(finished_at=ago(days=3.1))
    WebhookDelivery.objects.filter(pk=young.pk).update(finished_at=ago(days=2.9))
    assert webhook_sweep.forget_old_deliveries() == 1
    assert list(WebhookDelivery.objects.order_by("pk").values_list("pk", flat=True)) == [young.pk, waiting.pk]


def test_much_is_deleted_some_at_a_time(endpoint, deliver, monkeypatch):
    monkeypatch.setattr(webhook_sweep, "_CHUNK", 2)
    monkeypatch.setattr(webhook_sweep, "_CHUNKS_AT_ONCE", 2)
    for _ in range(5):
        send_ping(endpoint=endpoint)
    deliver()
    WebhookDelivery.objects.update(finished_at=ago(days=30))
    assert webhook_sweep.forget_old_deliveries() == 4
    assert webhook_sweep.forget_old_deliveries() == 1


def test_a_deleted_endpoint_goes_with_its_deliveries_and_no_other_does(endpoint, workspace, receiver, monkeypatch):
    other = webhook(workspace, receiver.url)
    for one in (endpoint, endpoint, endpoint, other):
        send_ping(endpoint=one)
    delete_webhook(endpoint=endpoint)
    with monkeypatch.context() as few:
        few.setattr(webhook_sweep, "_CHUNK", 1)
        few.setattr(webhook_sweep, "_CHUNKS_AT_ONCE", 2)
        assert webhook_sweep.delete_removed() == 0
    assert webhook_sweep.delete_removed() == 1
    assert list(WebhookEndpoint.objects.all()) == [other]
    assert states() == ["pending"]


def test_a_disabled_endpoint_stays(endpoint):
    change_webhook(endpoint=endpoint, changes={"enabled": False})
    assert webhook_sweep.delete_removed() == 0
    assert WebhookEndpoint.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_an_endpoint_that_is_deleted_while_an_event_is_recorded_spoils_neither(endpoint, workspace):
    """The event's transaction has its delivery; whoever deletes waits for it, and takes that along."""
    recorded, ended = threading.Event(), []

    def delete():
        try:
            recorded.wait(10)
            delete_webhook(endpoint=endpoint)
            while not webhook_sweep.delete_removed():
                pass
            ended.append("deleted")
        finally:
            connection.close()

    deleter = threading.Thread(target=delete)
    deleter.start()
    with transaction.atomic():
        assert record_events("job.finished", [Subject(workspace_id=workspace.pk, id=1, outcome="done")])
        recorded.set()
        time.sleep(0.5)
        assert ended == []
        # The endpoint is not for new events any more, and nobody waits for it.
        assert record_events("job.finished", [Subject(workspace_id=workspace.pk, id=2, outcome="done")]) == []
    deleter.join(10)
    assert ended == ["deleted"]
    assert not WebhookDelivery.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_an_event_does_not_wait_for_a_delivery_that_is_being_recorded(endpoint, workspace, settings):
    """Ends of generations are many: none of them waits for what is noted of an endpoint."""
    held, may_end = threading.Event(), threading.Event()

    def note():
        try:
            with transaction.atomic():
                WebhookEndpoint.objects.select_for_update(no_key=True).get(pk=endpoint.pk)
                WebhookEndpoint.objects.filter(pk=endpoint.pk).update(failing_since=timezone.now())
                held.set()
                may_end.wait(10)
        finally:
            connection.close()

    noting = threading.Thread(target=note)
    noting.start()
    try:
        assert held.wait(10)
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '2s'")
            assert record_events("job.finished", [Subject(workspace_id=workspace.pk, id=1, outcome="done")])
    finally:
        may_end.set()
        noting.join(10)
