from datetime import timedelta

import pytest
from django.utils import timezone

from jobs import sweeps
from jobs.models import Job
from jobs.services import cancel, sweep
from tests.training_app.generations import answered, asked, job_of
from training_app.feedback import give_feedback
from training_app.generation_sweep import conclude_forsaken, forget_old_generations
from training_app.models import Generation


def fail(job, message="Adapter 3 was withdrawn."):
    Job.objects.filter(pk=job.pk).update(
        state="failed", attempts=1, finished_at=timezone.now(), error_type="jobs.errors.Permanent",
        error_message=message,
    )  # fmt: skip


def test_one_whose_job_failed_without_anybody_hearing_of_it_is_ended(alice):
    generation = asked(alice)
    fail(job_of(generation))
    sweep()
    generation.refresh_from_db()
    assert (generation.state, generation.problem_slug) == ("failed", "generation-failed")
    assert generation.problem_detail == "It could not be answered: Adapter 3 was withdrawn."
    assert generation.finished_at is not None


def test_one_whose_job_is_gone_is_ended(alice):
    generation = asked(alice)
    Job.objects.all().delete()
    assert conclude_forsaken() == 1
    generation.refresh_from_db()
    assert generation.state == "failed"


def test_one_that_waits_or_runs_or_was_answered_is_left_alone(alice):
    waiting, done = asked(alice), answered(alice)
    Job.objects.filter(pk=job_of(done).pk).delete()
    assert conclude_forsaken() == 0
    waiting.refresh_from_db()
    done.refresh_from_db()
    assert (waiting.state, done.state) == ("asked", "done")


def test_a_cancelled_one_hears_of_it_at_once(alice, django_capture_on_commit_callbacks):
    generation = asked(alice)
    with django_capture_on_commit_callbacks(execute=True):
        cancel(job_of(generation).pk)
    generation.refresh_from_db()
    assert (generation.state, generation.problem_slug) == ("cancelled", "generation-cancelled")


@pytest.mark.parametrize(("days", "left"), [(30, ["done", "asked"]), (0, ["done", "done", "asked"])])
def test_what_ended_long_ago_is_deleted_unless_nothing_is(alice, settings, days, left):
    settings.GENERATION_RETENTION_DAYS = days
    old = answered(alice)
    Generation.objects.filter(pk=old.pk).update(finished_at=timezone.now() - timedelta(days=31))
    answered(alice)
    asked(alice)
    forget_old_generations()
    assert list(Generation.objects.order_by("pk").values_list("state", flat=True)) == left


def long_ago(*generations):
    old = Generation.objects.filter(pk__in=[generation.pk for generation in generations])
    old.update(state="done", prompt="p", output="o", finished_at=timezone.now() - timedelta(days=31))


def test_the_sweep_deletes_them_and_previews_with_them(alice, monkeypatch):
    answer, preview = answered(alice), asked(alice, kind="preview")
    long_ago(answer, preview)
    monkeypatch.setattr(sweeps, "_due_at", {})
    sweep()
    assert not Generation.objects.exists()


def test_a_document_that_feedback_made_stays(alice):
    generation = answered(alice)
    give_feedback(workspace=alice.workspace, generation=generation, rating=Generation.Rating.ACCEPTED)
    long_ago(generation)
    assert forget_old_generations() == 1
    assert alice.profile_entries.filter(client_id=f"generation-{generation.pk}", removed_at=None).exists()


def test_what_an_evaluation_asked_for_is_not_deleted(alice):
    generation = answered(alice)
    long_ago(generation)
    Generation.objects.update(asked_method="", origin="run:1/2")
    assert forget_old_generations() == 0
