"""Webhooks are told of what has happened: signed, tried again, and never of what is another's."""

import socket
import time
from base64 import b64decode
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from jobs import claims, kinds
from jobs.errors import Described
from jobs.models import Job
from jobs.services import JobSpec, cancel, enqueue, retry
from tests import people
from tests.receivers import receiving
from tests.webhooks import states, webhook
from users_app.models import WebhookDelivery, WebhookEndpoint
from users_app.webhook_deliveries import PAUSES_SECONDS
from users_app.webhook_recording import Subject, record_events
from users_app.webhook_signing import secret_of
from users_app.webhook_sweep import ask_for_lost_jobs
from users_app.webhooks import (
    StillPending,
    TooManyWebhooks,
    WebhookDisabled,
    change_webhook,
    delete_webhook,
    redeliver,
    rotate_secret,
    send_ping,
)

pytestmark = pytest.mark.usefixtures("loopback")


@pytest.fixture
def endpoint(workspace, receiver):
    return webhook(workspace, receiver.url)


@pytest.fixture
def dead_url():
    """Where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/hooks"


def ended_job(workspace, kind="import_dataset", **told):
    """A job of the workspace that has just been cancelled."""
    job = enqueue(JobSpec(kind=kind, workspace_id=workspace.pk, **told))
    cancel(job.pk)
    return job


def last(endpoint):
    return WebhookDelivery.objects.filter(endpoint=endpoint).latest("pk")


class TestWhatIsSent:
    def test_a_ping_says_nothing_and_is_signed(self, endpoint, receiver, deliver):
        delivery = send_ping(endpoint=endpoint)
        deliver()
        [ping] = receiver.received
        assert ping.path == "/hooks"
        assert ping.json["type"] == "ping"
        assert ping.json["data"] == {}
        assert datetime.fromisoformat(ping.json["timestamp"]) == delivery.created_at
        assert ping.headers["webhook-id"] == f"msg_{delivery.message_id.hex}"
        assert abs(int(ping.headers["webhook-timestamp"]) - time.time()) < 10
        assert ping.headers["content-type"] == "application/json; charset=utf-8"
        assert ping.is_signed_by(secret_of(endpoint))
        assert not ping.is_signed_by(secret_of(webhook(endpoint.workspace, receiver.url)))

    def test_the_end_of_a_job_names_it_and_where_it_is_seen(self, endpoint, workspace, receiver, deliver):
        job = ended_job(workspace)
        deliver()
        [told] = receiver.received
        job.refresh_from_db()
        assert told.json == {
            "type": "job.finished",
            "timestamp": job.finished_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            "data": {"id": job.pk, "kind": "import_dataset", "state": "cancelled", "url": f"/api/v1/jobs/{job.pk}"},
        }
        assert told.is_signed_by(secret_of(endpoint))

    def test_it_is_delivered_once_and_says_so(self, endpoint, workspace, receiver, deliver):
        ended_job(workspace)
        deliver()
        delivery = last(endpoint)
        assert (delivery.state, delivery.attempts, delivery.status_code) == ("delivered", 1, 204)
        assert delivery.finished_at is not None
        assert deliver() == 0

    def test_each_endpoint_hears_of_what_it_asked_for(self, workspace, receiver, deliver):
        webhook(workspace, receiver.url + "/generations", event_types=["generation.finished"])
        webhook(workspace, receiver.url + "/jobs", event_types=["job.finished"])
        webhook(workspace, receiver.url + "/all")
        ended_job(workspace)
        deliver()
        assert sorted(one.path for one in receiver.received) == ["/hooks/all", "/hooks/jobs"]

    def test_another_workspace_never_hears(self, endpoint, mallory, receiver, deliver):
        ended_job(mallory.workspace)
        assert deliver() == 0
        # Nor is it told of a number that is not its own, however the row came to be.
        job = ended_job(mallory.workspace)
        WebhookDelivery.objects.create(
            endpoint=endpoint,
            event_type="job.finished",
            subject_id=job.pk,
            outcome="cancelled",
            next_attempt_at=timezone.now() - timedelta(minutes=5),
        )
        ask_for_lost_jobs()
        deliver()
        assert receiver.received == []
        assert (last(endpoint).state, last(endpoint).error) == ("dropped", "subject-gone")

    def test_what_is_recorded_twice_is_delivered_once(self, endpoint, workspace, receiver, deliver):
        job = ended_job(workspace)
        again = Subject(workspace_id=workspace.pk, id=job.pk, outcome="cancelled")
        assert record_events("job.finished", [again]) == []
        deliver()
        assert record_events("job.finished", [again]) == []
        assert len(receiver.received) == 1

    def test_nothing_is_told_of_what_was_rolled_back(self, endpoint, workspace):
        job = enqueue(JobSpec(kind="import_dataset", workspace_id=workspace.pk))
        with transaction.atomic():
            cancel(job.pk)
            assert states() == ["pending"]
            transaction.set_rollback(True)
        assert states() == []

    def test_a_job_that_is_deleted_before_it_could_be_told_is_not(self, endpoint, workspace, receiver, deliver):
        job = ended_job(workspace)
        Job.objects.filter(pk=job.pk).delete()
        deliver()
        assert receiver.received == []
        assert (last(endpoint).state, last(endpoint).error) == ("dropped", "subject-gone")

    def test_deliveries_are_no_jobs_of_the_workspace(self, endpoint, workspace):
        ended_job(workspace)
        assert list(Job.objects.filter(kind="deliver_webhook").values_list("workspace_id", flat=True)) == [None]


class TestWhichJobs:
    @pytest.mark.parametrize("kind", ["embed_documents", "generate", "advance_experiment", "deliver_webhook"])
    def test_our_own_are_not_told_of(self, endpoint, workspace, kind):
        ended_job(workspace, kind, payload={"delivery_id": 0})
        assert states() == []

    def test_trainings_are_but_not_those_of_a_run(self, endpoint, workspace):
        ended_job(workspace, "train_adapter", origin="run:12")
        assert states() == []
        ended_job(workspace, "train_adapter")
        assert states() == ["pending"]

    def test_one_that_is_done_is_told_of_with_its_effect(self, endpoint, workspace, receiver, deliver):
        job = enqueue(JobSpec(kind="import_dataset", workspace_id=workspace.pk))
        [taken] = claims.claim(kinds.get("import_dataset"))
        with transaction.atomic():
            claims.finish([claims.Mark(id=taken.id, claim=taken.claim, result={}, done=None, total=None, message="")])
            assert states() == ["pending"]
        deliver()
        assert [(one.json["data"]["id"], one.json["data"]["state"]) for one in receiver.received] == [(job.pk, "done")]

    def test_a_job_that_is_let_run_again_is_told_of_as_it_ends_then(self, endpoint, workspace, receiver, deliver):
        job = ended_job(workspace)
        retry(job.pk)
        deliver()
        # It stands otherwise now, so there was nothing to say.
        assert receiver.received == []
        Job.objects.filter(pk=job.pk).update(max_attempts=1)
        [taken] = claims.claim(kinds.get("import_dataset"))
        claims.fail(taken.id, taken.claim, error=Described("E", "", ""), attempt=1, retry=True, alone=False)
        deliver()
        assert [one.json["data"]["state"] for one in receiver.received] == ["failed"]


@pytest.mark.usefixtures("no_pauses")
class TestWhatFails:
    def test_is_tried_again_after_an_error(self, endpoint, receiver, deliver):
        receiver.statuses = [500, 503, 200]
        send_ping(endpoint=endpoint)
        deliver()
        first, second, third = receiver.received
        assert first.headers["webhook-id"] == second.headers["webhook-id"] == third.headers["webhook-id"]
        assert first.body == third.body
        assert (last(endpoint).state, last(endpoint).attempts, last(endpoint).status_code) == ("delivered", 3, 200)
        endpoint.refresh_from_db()
        assert endpoint.failing_since is None

    def test_is_tried_again_where_nobody_listened(self, workspace, dead_url, receiver, deliver):
        endpoint = webhook(workspace, dead_url)
        delivery = send_ping(endpoint=endpoint)
        deliver()
        delivery.refresh_from_db()
        assert (delivery.state, delivery.error, delivery.attempts) == ("failed", "not-connected", 4)
        endpoint.refresh_from_db()
        assert endpoint.failing_since is not None
        change_webhook(endpoint=endpoint, changes={"url": receiver.url})
        redeliver(delivery=delivery)
        deliver()
        delivery.refresh_from_db()
        assert (delivery.state, delivery.error, delivery.attempts) == ("delivered", "", 1)

    def test_is_given_up_after_the_last_attempt(self, endpoint, receiver, deliver):
        receiver.statuses = [500]
        send_ping(endpoint=endpoint)
        deliver()
        assert (len(receiver.received), last(endpoint).state, last(endpoint).status_code) == (4, "failed", 500)

    def test_a_redirect_is_not_followed(self, endpoint, receiver, deliver):
        with receiving() as elsewhere:
            receiver.statuses, receiver.headers = [307], {"Location": elsewhere.url}
            send_ping(endpoint=endpoint)
            deliver()
            assert elsewhere.received == []
        assert (last(endpoint).state, last(endpoint).status_code) == ("failed", 307)

    def test_410_disables_the_endpoint(self, endpoint, receiver, deliver):
        receiver.statuses = [410]
        send_ping(endpoint=endpoint)
        deliver()
        endpoint.refresh_from_db()
        assert (endpoint.disabled_reason, len(receiver.received)) == ("gone", 1)
        assert (last(endpoint).state, last(endpoint).status_code) == ("failed", 410)

    def test_days_of_nothing_but_failures_disable_it(self, endpoint, receiver, deliver, settings):
        receiver.statuses = [500]
        WebhookEndpoint.objects.update(failing_since=timezone.now() - timedelta(days=4.9))
        send_ping(endpoint=endpoint)
        deliver()
        endpoint.refresh_from_db()
        assert endpoint.disabled_at is None
        settings.WEBHOOK_FAILING_DAYS = 4.8
        send_ping(endpoint=endpoint)
        deliver()
        endpoint.refresh_from_db()
        assert endpoint.disabled_reason == "failing"

    def test_one_success_between_failures_keeps_it(self, endpoint, receiver, deliver):
        receiver.statuses = [200, 500]
        WebhookEndpoint.objects.update(failing_since=timezone.now() - timedelta(days=30), unanswered=3)
        for _ in range(2):
            send_ping(endpoint=endpoint)
            deliver()
        endpoint.refresh_from_db()
        assert endpoint.disabled_at is None
        assert endpoint.unanswered == 0
        assert timezone.now() - endpoint.failing_since < timedelta(minutes=1)

    def test_an_address_that_may_not_be_asked_any_more_is_not(self, endpoint, receiver, deliver, settings):
        settings.WEBHOOK_ALLOWED_NETWORKS = ()
        settings.WEBHOOK_ALLOW_HTTP = True
        send_ping(endpoint=endpoint)
        deliver()
        assert receiver.received == []
        assert (last(endpoint).state, last(endpoint).error) == ("failed", "address-refused")


def test_attempts_are_spread_over_a_day(workspace, receiver, deliver):
    endpoint = webhook(workspace, receiver.url)
    receiver.statuses = [500]
    send_ping(endpoint=endpoint)
    assert 20 * 3600 < sum(PAUSES_SECONDS) < 28 * 3600
    for attempt, pause in enumerate(PAUSES_SECONDS, start=1):
        before = timezone.now()
        assert deliver() == 1
        delivery = last(endpoint)
        assert (delivery.state, delivery.attempts) == ("pending", attempt)
        assert 0.8 * pause <= (delivery.next_attempt_at - before).total_seconds() <= 1.2 * pause + 5
        job = Job.objects.get(kind="deliver_webhook", state="waiting")
        assert abs((job.available_at - delivery.next_attempt_at).total_seconds()) < 2
        assert deliver() == 0
        Job.objects.filter(pk=job.pk).update(available_at=timezone.now())
    deliver()
    assert (last(endpoint).state, last(endpoint).attempts) == ("failed", len(PAUSES_SECONDS) + 1)


class TestDisabled:
    def test_it_is_told_nothing_and_nothing_is_kept_for_it(self, endpoint, workspace, receiver, deliver):
        change_webhook(endpoint=endpoint, changes={"enabled": False})
        ended_job(workspace)
        assert states() == []
        with pytest.raises(WebhookDisabled):
            send_ping(endpoint=endpoint)
        endpoint = change_webhook(endpoint=endpoint, changes={"enabled": True})
        assert (endpoint.disabled_at, endpoint.disabled_reason) == (None, "")
        ended_job(workspace)
        deliver()
        assert len(receiver.received) == 1

    def test_what_waited_for_it_is_dropped(self, endpoint, receiver, deliver):
        delivery = send_ping(endpoint=endpoint)
        change_webhook(endpoint=endpoint, changes={"enabled": False})
        deliver()
        delivery.refresh_from_db()
        assert (receiver.received, delivery.state, delivery.error) == ([], "dropped", "endpoint-disabled")
        with pytest.raises(WebhookDisabled):
            redeliver(delivery=delivery)

    def test_enabling_forgets_its_failures(self, endpoint):
        WebhookEndpoint.objects.update(
            disabled_at=timezone.now(), disabled_reason="failing", failing_since=timezone.now(), unanswered=9
        )
        endpoint = change_webhook(endpoint=endpoint, changes={"enabled": True})
        assert (endpoint.failing_since, endpoint.unanswered, endpoint.disabled_reason) == (None, 0, "")

    def test_a_deleted_one_is_told_nothing(self, endpoint, workspace, receiver, deliver):
        send_ping(endpoint=endpoint)
        delete_webhook(endpoint=endpoint)
        ended_job(workspace)
        deliver()
        assert receiver.received == []


class TestRotation:
    def test_the_old_secret_signs_beside_the_new_one_for_a_time(self, endpoint, receiver, deliver):
        old = secret_of(endpoint)
        endpoint = rotate_secret(endpoint=endpoint)
        new = secret_of(endpoint)
        assert new != old
        send_ping(endpoint=endpoint)
        deliver()
        WebhookEndpoint.objects.update(previous_until=timezone.now() - timedelta(seconds=1))
        send_ping(endpoint=endpoint)
        deliver()
        during, after = receiver.received
        assert len(during.headers["webhook-signature"].split(" ")) == 2
        assert during.is_signed_by(old)
        assert during.is_signed_by(new)
        assert len(after.headers["webhook-signature"].split(" ")) == 1
        assert after.is_signed_by(new)
        assert not after.is_signed_by(old)

    def test_the_time_is_the_settings(self, endpoint, settings):
        settings.WEBHOOK_ROTATION_HOURS = 3
        left = rotate_secret(endpoint=endpoint).previous_until - timezone.now()
        assert timedelta(hours=2.9) < left <= timedelta(hours=3)

    def test_no_table_holds_a_secret(self, endpoint):
        secret = b64decode(secret_of(endpoint).removeprefix("whsec_"))
        with connection.cursor() as cursor:
            cursor.execute("SELECT t::text FROM users_app_webhookendpoint AS t")
            [(row,)] = cursor.fetchall()
        assert secret.hex() not in row
        assert secret_of(endpoint) not in row

    def test_another_installations_key_makes_another_secret(self, endpoint, receiver, deliver, settings):
        before = secret_of(endpoint)
        settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "another key"
        assert secret_of(endpoint) != before
        send_ping(endpoint=endpoint)
        deliver()
        settings.SECRET_KEY_FALLBACKS = []
        send_ping(endpoint=endpoint)
        deliver()
        with_both, with_one = receiver.received
        assert with_both.is_signed_by(before)
        assert with_both.is_signed_by(secret_of(endpoint))
        assert not with_one.is_signed_by(before)


class TestBounds:
    def test_a_workspace_has_so_many_and_deleted_ones_do_not_count(self, endpoint, workspace, mallory, settings):
        settings.WEBHOOKS_OF_A_WORKSPACE = 2
        second = webhook(workspace, endpoint.url)
        with pytest.raises(TooManyWebhooks):
            webhook(workspace, endpoint.url)
        webhook(mallory.workspace, endpoint.url)
        delete_webhook(endpoint=second)
        webhook(workspace, endpoint.url)

    def test_so_many_pings_wait(self, endpoint, monkeypatch):
        monkeypatch.setattr("users_app.webhooks.MOST_PINGS", 2)
        send_ping(endpoint=endpoint)
        send_ping(endpoint=endpoint)
        with pytest.raises(StillPending):
            send_ping(endpoint=endpoint)

    def test_what_has_not_ended_is_not_sent_twice(self, endpoint):
        with pytest.raises(StillPending):
            redeliver(delivery=send_ping(endpoint=endpoint))


def test_a_workspace_without_webhooks_pays_one_statement(workspace, django_assert_num_queries):
    webhook(people.workspace("elsewhere"), "http://127.0.0.1:9/hooks")
    happened = [Subject(workspace_id=workspace.pk, id=number, outcome="done") for number in range(1, 100)]
    with django_assert_num_queries(1):
        assert record_events("generation.finished", happened) == []
