"""What webhooks are told of generations: that one has ended and how, whoever ended it, and nothing of what it says."""

import pytest
from django.db import transaction
from django.utils import timezone

from jobs.models import Job
from jobs.services import cancel, retry, sweep
from tests.eval_app.stored import answered_run
from tests.training_app.generations import ANSWERED, answered, asked, job_of
from tests.webhooks import states, webhook
from tests.whereabouts import traces
from training_app.generation_sweep import conclude_forsaken
from training_app.generations import conclude_all, record_answers
from training_app.models import Generation
from users_app.erasure import erase_end_user
from users_app.models import WebhookDelivery
from users_app.webhook_signing import secret_of

pytestmark = pytest.mark.usefixtures("loopback")


@pytest.fixture
def endpoint(workspace, receiver):
    return webhook(workspace, receiver.url)


def fail(generation, message="Adapter 3 was withdrawn."):
    Job.objects.filter(pk=job_of(generation).pk).update(
        state="failed", attempts=1, finished_at=timezone.now(), error_type="jobs.errors.Permanent",
        error_message=message,
    )  # fmt: skip


def told(receiver):
    return [(one.json["data"]["id"], one.json["data"]["state"]) for one in receiver.received]


def test_an_answer_is_told_of_without_what_it_says(endpoint, alice, receiver, deliver):
    generation = answered(alice)
    deliver()
    [received] = receiver.received
    assert received.is_signed_by(secret_of(endpoint))
    assert received.json == {
        "type": "generation.finished",
        "timestamp": generation.finished_at.isoformat().replace("+00:00", "Z"),
        "data": {
            "id": generation.pk,
            "state": "done",
            "user": "alice",
            "task": "LaMP-7",
            "method": {"asked": generation.asked_method, "used": generation.family},
            "problem": None,
            "url": f"/api/v1/generations/{generation.pk}",
        },
    }
    for text in (generation.input, generation.prompt, generation.output):
        assert text not in received.body.decode()


def test_the_address_that_is_told_is_where_the_answer_is(endpoint, alice, receiver, deliver, api):
    answered(alice)
    deliver()
    assert api.get(receiver.received[0].json["data"]["url"]).json()["output"] == "rain on my roses"


def test_a_failed_one_says_why_in_general(endpoint, alice, receiver, deliver):
    generation = asked(alice)
    fail(generation)
    conclude_all([generation.pk])
    deliver()
    data = receiver.received[0].json["data"]
    assert data["state"] == "failed"
    assert data["problem"] == {"type": "urn:lamppost:problem:generation-failed", "title": "Generation failed"}


def test_a_cancelled_one_is_told_of(endpoint, alice, receiver, deliver, django_capture_on_commit_callbacks):
    generation = asked(alice)
    with django_capture_on_commit_callbacks(execute=True):
        cancel(job_of(generation).pk)
    deliver()
    assert told(receiver) == [(generation.pk, "cancelled")]


def test_one_that_ended_without_anybody_hearing_is_found_by_the_sweep_and_told_of_once(
    endpoint, alice, receiver, deliver
):
    generation = asked(alice)
    fail(generation)
    deliver()
    assert receiver.received == []
    sweep()
    assert conclude_forsaken() == 0
    assert conclude_all([generation.pk]) == 0
    deliver()
    assert told(receiver) == [(generation.pk, "failed")]


def test_nothing_is_told_where_the_end_does_not_stand(endpoint, alice):
    generation = asked(alice)
    with transaction.atomic():
        record_answers([(generation, ANSWERED)])
        assert states() == ["pending"]
        transaction.set_rollback(True)
    assert states() == []


def test_one_recorded_twice_is_told_of_once(endpoint, alice, receiver, deliver):
    generation = answered(alice)
    record_answers([(generation, ANSWERED)])
    deliver()
    record_answers([(generation, ANSWERED)])
    deliver()
    assert told(receiver) == [(generation.pk, "done")]


def test_one_that_is_answered_after_all_is_told_of_again(endpoint, alice, receiver, deliver):
    generation = asked(alice)
    fail(generation)
    conclude_all([generation.pk])
    deliver()
    retry(job_of(generation).pk)
    record_answers([(Generation.objects.get(pk=generation.pk), ANSWERED)])
    deliver()
    assert told(receiver) == [(generation.pk, "failed"), (generation.pk, "done")]


def test_previews_and_what_runs_ask_for_are_nobodys_business(endpoint, alice, dev):
    generation = asked(alice, kind="preview")
    record_answers([(generation, ANSWERED)])
    failed = asked(alice, kind="preview")
    fail(failed)
    conclude_all([failed.pk])
    answered_run(dev, ["rain on my roses again", "my bike", "garden gloves"])
    assert states() == []


def test_another_workspaces_endpoint_never_hears(endpoint, mallory, receiver, deliver):
    answered(mallory)
    failed = asked(mallory)
    fail(failed)
    conclude_all([failed.pk])
    assert deliver() == 0
    assert receiver.received == []


def test_of_somebody_who_was_erased_nothing_is_sent_and_nothing_is_left(endpoint, alice, bob, receiver, deliver):
    answered(alice)
    failed = asked(alice)
    fail(failed)
    conclude_all([failed.pk])
    his = answered(bob)
    number, words = alice.pk, ["alice", "rain on my roses"]
    erase_end_user(workspace=alice.workspace, end_user=alice)
    Generation.objects.filter(pk=his.pk).update(output="a bike")
    deliver()
    assert told(receiver) == [(his.pk, "done")]
    assert states() == ["dropped", "dropped", "delivered"]
    assert set(WebhookDelivery.objects.filter(state="dropped").values_list("error", flat=True)) == {"subject-gone"}
    assert traces(end_user_id=number, words=words) == []


def test_a_delivery_holds_no_trace_of_whom_it_was_about(endpoint, alice, receiver, deliver):
    answered(alice)
    deliver()
    assert "alice" in receiver.received[0].body.decode()
    number = alice.pk
    erase_end_user(workspace=alice.workspace, end_user=alice)
    assert WebhookDelivery.objects.count() == 1
    assert traces(end_user_id=number, words=["alice", "rain on my roses"]) == []


def test_recording_an_answer_costs_one_statement_more_where_nobody_listens(alice, django_assert_num_queries):
    generation = asked(alice)
    generation = Generation.objects.select_related("end_user__workspace").get(pk=generation.pk)
    # The state, its notice, and the look for endpoints.
    with django_assert_num_queries(3):
        record_answers([(generation, ANSWERED)])
