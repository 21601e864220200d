"""Many webhooks at a time: whoever is slow or silent holds up nobody else, and nobody is asked too much at once."""

import time
from datetime import timedelta

import pytest
from django.utils import timezone

from jobs import claims, kinds
from jobs.heart import heart
from jobs.models import Job
from jobs.runner import claim_batch, run_batch
from tests.receivers import receiving
from tests.webhooks import states, webhook
from users_app.models import WebhookDelivery, WebhookEndpoint
from users_app.webhook_recording import delivery_job_key
from users_app.webhooks import delete_webhook, send_ping
from workers import delivering

pytestmark = pytest.mark.usefixtures("loopback", "in_process")
KIND = "deliver_webhook"


def run_one_batch():
    """Run one batch; the seconds it took."""
    batch = claim_batch(kinds.get(KIND))
    began = time.monotonic()
    run_batch(batch)
    return time.monotonic() - began


def test_several_are_sent_at_a_time_but_few_to_one_endpoint(workspace):
    # Long enough that four are begun before the first of them ends.
    with receiving(seconds=0.5) as one, receiving(seconds=0.5) as other:
        for receiver in (one, other):
            endpoint = webhook(workspace, receiver.url)
            for _ in range(12):
                send_ping(endpoint=endpoint)
        assert run_one_batch() < 12 * 0.5
        assert (one.most_at_once, other.most_at_once) == (4, 4)
    assert states() == ["delivered"] * 24


def test_a_slow_endpoint_holds_up_nobody(workspace):
    """Seventy wait for the slow one before the one of the quick one, which is sent within moments all the same."""
    with receiving(seconds=3) as slow, receiving() as quick:
        endpoint = webhook(workspace, slow.url)
        for _ in range(70):
            send_ping(endpoint=endpoint)
        send_ping(endpoint=webhook(workspace, quick.url))
        assert run_one_batch() < 5 + 3 + 2
        assert slow.most_at_once == 4
        [sent] = quick.received
        # What waited for the slow one's turn went back to the queue, and its attempts were not counted.
        assert len(slow.received) <= 8
        waiting = Job.objects.filter(kind=KIND, state="waiting")
        assert waiting.count() == 70 - len(slow.received)
        assert set(waiting.values_list("attempts", flat=True)) == {0}
        assert int(sent.headers["webhook-timestamp"]) - int(slow.received[0].headers["webhook-timestamp"]) <= 3


def test_a_silent_endpoint_is_spared_for_a_time(workspace, monkeypatch):
    monkeypatch.setattr("common.outgoing.TOTAL_SECONDS", 1.0)
    with receiving(seconds=4) as silent:
        endpoint = webhook(workspace, silent.url)
        for _ in range(20):
            send_ping(endpoint=endpoint)
        assert run_one_batch() < 20 / 4 * 1.0
        assert len(silent.received) == 4
    endpoint.refresh_from_db()
    assert endpoint.unanswered == 1
    assert 0 < (endpoint.resting_until - timezone.now()).total_seconds() <= 5
    assert WebhookDelivery.objects.filter(attempts=0).count() == 16
    # Until then nothing is even tried, also of what is new.
    newest = send_ping(endpoint=endpoint)
    run_one_batch()
    newest.refresh_from_db()
    assert (newest.state, newest.attempts) == ("pending", 0)
    job = Job.objects.get(dedupe_key=delivery_job_key(newest.pk, 0), state="waiting")
    assert job.available_at >= endpoint.resting_until - timedelta(seconds=1)


def test_each_silence_in_a_row_makes_the_rest_longer(workspace, monkeypatch):
    monkeypatch.setattr("common.outgoing.TOTAL_SECONDS", 0.1)
    with receiving(seconds=0.5) as silent:
        endpoint = webhook(workspace, silent.url)
        rests = []
        for _ in range(3):
            WebhookEndpoint.objects.update(resting_until=None)
            send_ping(endpoint=endpoint)
            run_one_batch()
            endpoint.refresh_from_db()
            rests.append((endpoint.resting_until - timezone.now()).total_seconds())
    assert 4 < rests[0] <= 5
    assert 9 < rests[1] <= 10
    assert 19 < rests[2] <= 20


def test_an_error_that_comes_at_once_is_no_silence(workspace, receiver):
    receiver.statuses = [500]
    endpoint = webhook(workspace, receiver.url)
    for _ in range(6):
        send_ping(endpoint=endpoint)
    run_one_batch()
    endpoint.refresh_from_db()
    assert (len(receiver.received), endpoint.resting_until, endpoint.unanswered) == (6, None, 0)


def test_what_comes_meanwhile_joins(workspace, monkeypatch):
    with receiving(seconds=1.0) as slow, receiving() as quick:
        send_ping(endpoint=webhook(workspace, slow.url))
        other = webhook(workspace, quick.url)
        sent = []
        take_more = delivering._Delivering._take_more

        def first_send(self):
            if not sent:
                sent.append(send_ping(endpoint=other))
            take_more(self)

        monkeypatch.setattr(delivering._Delivering, "_take_more", first_send)
        run_one_batch()
        assert len(quick.received) == 1
    assert states() == ["delivered", "delivered"]


def test_a_worker_that_stops_begins_nothing_more(workspace, receiver, monkeypatch):
    endpoint = webhook(workspace, receiver.url)
    send_ping(endpoint=endpoint)
    monkeypatch.setattr(type(heart), "stopping", True)
    run_one_batch()
    assert receiver.received == []
    assert list(Job.objects.filter(kind=KIND).values_list("state", "attempts")) == [("waiting", 0)]


def test_a_claim_that_was_lost_records_nothing(workspace, receiver, monkeypatch):
    """Somebody else has taken the job over, and records what came of it there."""
    delivery = send_ping(endpoint=webhook(workspace, receiver.url))
    monkeypatch.setattr(delivering._Delivering, "_record", losing(delivering._Delivering._record))
    run_one_batch()
    delivery.refresh_from_db()
    assert (len(receiver.received), delivery.state, delivery.attempts) == (1, "pending", 0)


def losing(record):
    """`record`, after another worker has taken the claim."""

    def lose(self, sent, future):
        Job.objects.filter(pk=sent.job.id).update(claim="00000000-0000-0000-0000-000000000001")
        record(self, sent, future)

    return lose


def test_what_fails_in_one_costs_the_others_nothing(workspace, receiver, monkeypatch, settings):
    settings.JOBS_BACKOFF_SECONDS = 60
    endpoint = webhook(workspace, receiver.url)
    first, _ = (send_ping(endpoint=endpoint) for _ in range(2))
    request_of = delivering.request_of

    def choke(delivery):
        if delivery.pk == first.pk:
            raise ValueError
        return request_of(delivery)

    monkeypatch.setattr(delivering, "request_of", choke)
    run_one_batch()
    assert states() == ["pending", "delivered"]
    job = Job.objects.get(dedupe_key=delivery_job_key(first.pk, 0))
    assert (job.state, job.attempts) == ("waiting", 1)


def test_a_delivery_that_is_gone_ends_its_job(workspace, receiver):
    endpoint = webhook(workspace, receiver.url)
    send_ping(endpoint=endpoint)
    delete_webhook(endpoint=endpoint)
    WebhookDelivery.objects.all().delete()
    run_one_batch()
    assert list(Job.objects.filter(kind=KIND).values_list("state", "result")) == [("done", {"state": "gone"})]


def test_the_queue_is_the_one_of_workers_without_a_model():
    assert kinds.get(KIND).queue == "cpu"
    assert claims.kinds_waiting([KIND]) == []
