"""What becomes of a job whose handler fails, and of the others in its batch."""

import pytest

from jobs import claims, kinds
from jobs.errors import Permanent
from jobs.models import Job
from jobs.runner import run_waiting
from jobs.services import sweep
from tests.jobs.conftest import COMMITTED, expire_leases, fresh, put, run_once
from tests.jobs.handlers import effect

pytestmark = COMMITTED

SECRET = "what alice wrote"


def boom(jobs):
    raise ValueError(SECRET)


def test_a_failed_attempt_waits_for_its_next(kind_of, settings):
    settings.JOBS_BACKOFF_SECONDS = 100
    kind = kind_of(boom)
    job = put(kind)
    run_once(kind)
    stored = fresh(job)
    assert (stored.state, stored.attempts, stored.error_type) == ("waiting", 1, "ValueError")
    assert 45 < (stored.available_at - stored.started_at).total_seconds() < 110


@pytest.mark.parametrize(
    ("attempt", "least", "most"), [(1, 1, 2), (2, 2, 4), (3, 4, 8), (30, 150, 300), (3000, 150, 300)]
)
def test_the_pause_doubles_within_a_bound_and_is_spread(settings, attempt, least, most):
    settings.JOBS_BACKOFF_SECONDS, settings.JOBS_BACKOFF_MAX_SECONDS = 2, 300
    pauses = {claims.backoff_seconds(attempt) for _ in range(50)}
    assert least <= min(pauses) < max(pauses) <= most


def test_a_job_that_always_fails_ends_as_failed(kind_of):
    kind = kind_of(boom, max_attempts=3)
    job = put(kind)
    assert run_waiting([kind.name]) == 3
    assert (fresh(job).state, fresh(job).attempts) == ("failed", 3)


def test_a_permanent_error_is_not_tried_again(kind_of):
    def refuse(jobs):
        raise Permanent("the split has no dates")

    kind = kind_of(refuse)
    job = put(kind)
    assert run_waiting([kind.name]) == 1
    assert (fresh(job).state, fresh(job).error_message) == ("failed", "the split has no dates")


def test_the_error_keeps_frames_and_no_text_of_users(kind_of):
    kind = kind_of(boom, max_attempts=1)
    job = put(kind)
    run_once(kind)
    stored = fresh(job)
    assert "test_failures.py" in stored.error_trace
    assert "in boom" in stored.error_trace
    assert SECRET not in stored.error_trace + stored.error_message + stored.error_type


def test_no_text_of_users_is_logged(kind_of, caplog):
    kind = kind_of(boom)
    put(kind)
    run_once(kind)
    assert "ValueError" in caplog.text
    assert SECRET not in caplog.text


def test_a_later_success_clears_the_error(kind_of):
    def second_time_lucky(jobs):
        if jobs[0].attempt == 1:
            boom(jobs)
        with jobs[0].finishing():
            pass

    kind = kind_of(second_time_lucky)
    job = put(kind)
    run_waiting([kind.name])
    assert (fresh(job).state, fresh(job).error_type, fresh(job).error_trace) == ("done", "", "")


def test_a_handler_that_forgets_a_job_loses_it_the_attempt(kind_of):
    kind = kind_of(lambda jobs: None, max_attempts=1)
    job = put(kind)
    run_once(kind)
    assert (fresh(job).state, fresh(job).error_type) == ("failed", "jobs.errors.NotFinished")


def test_a_handler_that_cannot_be_imported_fails_its_jobs():
    kind = kinds.Kind(name="test.missing", queue="cpu", handler="tests.jobs.nowhere.run", max_attempts=1)
    kinds.register(kind)
    try:
        job = put(kind)
        run_once(kind)
        assert (fresh(job).state, fresh(job).error_type) == ("failed", "ModuleNotFoundError")
    finally:
        kinds._kinds.pop(kind.name)


def test_an_effect_that_raises_is_rolled_back(kind_of, effects):
    def half(jobs):
        with jobs[0].finishing():
            effect(jobs[0])
            boom(jobs)

    kind = kind_of(half, max_attempts=1)
    job = put(kind)
    run_once(kind)
    assert (effects(), fresh(job).state) == ([], "failed")


def test_one_bad_effect_costs_the_others_nothing(kind_of, effects):
    def one_is_bad(jobs):
        for job in jobs:
            with job.finishing():
                effect(job)
                if job.payload["bad"]:
                    boom(jobs)

    kind = kind_of(one_is_bad, batch_size=4, max_attempts=2)
    jobs = [put(kind, payload={"bad": n == 1}) for n in range(4)]
    run_waiting([kind.name])
    assert [(fresh(job).state, fresh(job).attempts) for job in jobs] == [
        ("done", 1), ("failed", 2), ("done", 1), ("done", 1),
    ]  # fmt: skip
    assert effects() == [jobs[0].pk, jobs[2].pk, jobs[3].pk]


def test_an_isolated_failure_leaves_the_loop_running(kind_of, effects):
    def one_is_bad(jobs):
        for job in jobs:
            with job.isolated(), job.finishing():
                effect(job)
                if job.payload["bad"]:
                    boom(jobs)

    kind = kind_of(one_is_bad, batch_size=4, max_attempts=1)
    jobs = [put(kind, payload={"bad": n == 1}) for n in range(4)]
    assert run_waiting([kind.name]) == 1
    assert [fresh(job).state for job in jobs] == ["done", "failed", "done", "done"]


def test_a_poisoned_batch_is_taken_apart(kind_of, effects):
    """One job that makes its whole batch fail fails alone in the end."""

    def all_or_nothing(jobs):
        if any(job.payload["bad"] for job in jobs):
            boom(jobs)
        for job in jobs:
            with job.finishing():
                effect(job)

    kind = kind_of(all_or_nothing, batch_size=8, max_attempts=3)
    jobs = [put(kind, payload={"bad": n == 3}) for n in range(8)]
    run_waiting([kind.name])
    assert [fresh(job).state for job in jobs] == ["failed" if n == 3 else "done" for n in range(8)]
    assert len(effects()) == 7


def test_a_job_failed_by_its_handler_may_try_again(kind_of):
    def give_up(jobs):
        jobs[0].fail("the encoder is not there yet", retry=jobs[0].attempt < 2)

    kind = kind_of(give_up)
    job = put(kind)
    run_waiting([kind.name])
    stored = fresh(job)
    assert (stored.state, stored.attempts, stored.error_message) == ("failed", 2, "the encoder is not there yet")


def test_a_job_given_back_does_not_count_the_attempt(kind_of):
    kind = kind_of(lambda jobs: jobs[0].give_back(delay_seconds=60))
    job = put(kind)
    run_once(kind)
    assert (fresh(job).state, fresh(job).attempts) == ("waiting", 0)


def test_a_process_that_is_told_to_exit_gives_back(kind_of):
    def leave(jobs):
        raise SystemExit(0)

    kind = kind_of(leave)
    job = put(kind)
    with pytest.raises(SystemExit):
        run_once(kind)
    assert (fresh(job).state, fresh(job).attempts) == ("waiting", 0)


def test_a_job_that_kills_its_processes_fails_in_the_end_and_alone(kind_of):
    kind = kind_of(boom, max_attempts=3, batch_size=2)
    poison, innocent = put(kind), put(kind)
    sizes = []
    for _ in range(3):
        sizes.append([taken.id for taken in claims.claim(kind)])
        expire_leases()
        sweep()
    assert sizes == [[poison.pk, innocent.pk], [poison.pk, innocent.pk], [poison.pk]]
    assert (fresh(poison).state, fresh(poison).error_type) == ("failed", "jobs.errors.LeaseExpired")
    assert Job.objects.get(pk=innocent.pk).state == "waiting"
