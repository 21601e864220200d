"""`/jobs`: what becomes of work that takes a while, for the programs of its workspace alone."""

import json

import pytest
from django.db import connection

from jobs.models import Job, State
from jobs.services import JobSpec, enqueue

KIND = "embed_documents"


def work(end_user, kind=KIND):
    return enqueue(
        JobSpec(kind=kind, payload={"texts": ["my roses"]}, workspace_id=end_user.workspace_id, end_user_id=end_user.pk)
    )


@pytest.fixture
def job(alice):
    """Work about Alice that nobody has begun."""
    return work(alice)


@pytest.fixture
def job_elsewhere(mallory):
    """Work of another workspace."""
    return work(mallory)


def put(job, state, **fields):
    """Let the job stand so, as its worker would leave it."""
    finished = "clock_timestamp()" if state in ("done", "failed") else "NULL"
    held = "clock_timestamp() + interval '1 hour'" if state == "running" else "NULL"
    with connection.cursor() as cursor:
        cursor.execute(
            f"""UPDATE jobs_job SET state = %s, attempts = 1, started_at = clock_timestamp(), finished_at = {finished},
                    lease_until = {held}, claim = CASE WHEN {held} IS NULL THEN NULL ELSE gen_random_uuid() END,
                    error_type = CASE WHEN %s = 'failed' THEN 'ValueError' ELSE '' END
              WHERE id = %s""",
            [state, state, job.pk],
        )
    Job.objects.filter(pk=job.pk).update(**fields)


def listed(api, query=""):
    answer = api.get(f"/api/v1/jobs{query}")
    assert answer.status_code == 200, answer.json()
    return [job["id"] for job in answer.json()["data"]]


def test_a_job_says_how_it_stands(api, job):
    shown = api.get(f"/api/v1/jobs/{job.pk}").json()
    assert shown.pop("created_at").endswith("Z")
    assert shown == {
        "id": job.pk,
        "kind": KIND,
        "state": "waiting",
        "user": "alice",
        "progress": {"done": None, "total": None, "message": ""},
        "attempts": 0,
        "max_attempts": job.max_attempts,
        "cancel_requested": False,
        "result": None,
        "error": None,
        "started_at": None,
        "finished_at": None,
    }


def test_what_was_made_is_told(api, job):
    put(job, "done", result={"documents": 5})
    shown = api.get(f"/api/v1/jobs/{job.pk}").json()
    assert (shown["state"], shown["result"], shown["finished_at"][-1]) == ("done", {"documents": 5}, "Z")


def test_why_it_failed_is_told_without_frames(api, job):
    put(job, "failed", error_message="The model is not there.", error_trace='File "x.py", line 3')
    shown = api.get(f"/api/v1/jobs/{job.pk}").json()
    assert shown["error"] == {"type": "ValueError", "message": "The model is not there."}
    assert "x.py" not in json.dumps(shown)


def test_no_payload_is_told(api, job):
    assert "roses" not in api.get(f"/api/v1/jobs/{job.pk}").content.decode()


def test_the_list_begins_with_the_newest(api, alice, bob, job_elsewhere):
    jobs = [work(alice), work(bob), work(alice)]
    assert listed(api) == [job.pk for job in reversed(jobs)]


def test_the_list_is_filtered(api, alice, bob):
    hers, his, other = work(alice), work(bob), work(alice, "train_adapter")
    put(hers, "done")
    assert listed(api, "?user=alice") == [other.pk, hers.pk]
    assert listed(api, "?state=waiting") == [other.pk, his.pk]
    assert listed(api, f"?kind={KIND}&user=alice") == [hers.pk]
    assert listed(api, "?user=mallory") == []


def test_pages_follow_each_other(api, alice):
    jobs = [work(alice).pk for _ in range(3)]
    first = api.get("/api/v1/jobs?limit=2&user=alice").json()
    assert listed(api, f"?limit=2&user=alice&cursor={first['next_cursor']}") == jobs[:1]


def test_a_state_that_is_none_is_refused(api):
    assert api.get("/api/v1/jobs?state=sleeping").json()["errors"][0]["field"] == "?state"


def test_anothers_job_is_not_there(api, job_elsewhere):
    for address in ("", "/events"):
        assert api.get(f"/api/v1/jobs/{job_elsewhere.pk}{address}").status_code == 404
    assert api.post(f"/api/v1/jobs/{job_elsewhere.pk}/cancel").status_code == 404
    assert Job.objects.get(pk=job_elsewhere.pk).state == State.WAITING


def test_a_job_of_no_workspace_is_not_there(api):
    assert api.get(f"/api/v1/jobs/{enqueue(JobSpec(kind=KIND)).pk}").status_code == 404


# Cancelling


def test_a_waiting_job_is_cancelled_at_once(api, job):
    answer = api.post(f"/api/v1/jobs/{job.pk}/cancel")
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")


def test_a_running_job_is_asked_to_end(api, job):
    put(job, "running")
    answer = api.post(f"/api/v1/jobs/{job.pk}/cancel")
    assert (answer.status_code, answer.json()["state"], answer.json()["cancel_requested"]) == (202, "running", True)


def test_cancelling_again_changes_nothing(api, job):
    first, again = (api.post(f"/api/v1/jobs/{job.pk}/cancel") for _ in range(2))
    assert (again.status_code, again.json()) == (first.status_code, first.json())


@pytest.mark.parametrize("state", ["done", "failed"])
def test_a_job_that_has_ended_cannot_be_cancelled(api, job, state):
    put(job, state)
    answer = api.post(f"/api/v1/jobs/{job.pk}/cancel")
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:lamppost:problem:job-not-cancellable")
    assert answer.json()["state"] == state


def test_looking_needs_read_and_cancelling_manage(api_key, client_of, job):
    reader = client_of(api_key(scopes=["read"]))
    assert reader.get(f"/api/v1/jobs/{job.pk}").status_code == 200
    assert reader.post(f"/api/v1/jobs/{job.pk}/cancel").status_code == 403


# Events


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr("users_app.api.jobs._LOOK_SECONDS", 0.01)


def follow(api, job):
    """The events of a job: pairs of name and data, as they come."""
    answer = api.get(f"/api/v1/jobs/{job.pk}/events", headers={"accept": "text/event-stream"})
    assert answer.status_code == 200
    for block in answer.streaming_content:
        if block.startswith(b"event: "):
            name, data = block.decode().strip().split("\n")
            yield name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def test_a_job_that_has_ended_has_one_event(api, job):
    put(job, "done")
    assert [(name, data["state"]) for name, data in follow(api, job)] == [("job", "done")]


def test_each_change_is_told_and_the_end_ends_the_stream(api, job, quick):
    told = []
    for _, data in follow(api, job):
        told.append((data["state"], data["progress"]["done"]))
        if data["state"] == "waiting":
            put(job, "running")
        elif data["progress"]["done"] is None:
            Job.objects.filter(pk=job.pk).update(progress_done=3)
        elif data["state"] == "running":
            put(job, "done")
    assert told == [("waiting", None), ("running", None), ("running", 3), ("done", 3)]


def test_a_job_that_is_deleted_is_gone(api, job, quick):
    names = []
    for name, _ in follow(api, job):
        names.append(name)
        Job.objects.all().delete()
    assert names == ["job", "gone"]


def test_nobody_is_followed_for_ever(api, job, quick, settings):
    settings.EVENT_STREAM_SECONDS = 0.05
    assert len(list(follow(api, job))) == 1


def test_a_stream_in_which_nothing_happens_is_kept_alive(api, job, quick, monkeypatch, settings):
    monkeypatch.setattr("users_app.api.jobs.KEEP_ALIVE_SECONDS", 0.02)
    settings.EVENT_STREAM_SECONDS = 0.2
    answer = api.get(f"/api/v1/jobs/{job.pk}/events")
    assert b"".join(answer.streaming_content).count(b": still here") >= 2


def test_head_opens_no_stream(api, job):
    answer = api.head(f"/api/v1/jobs/{job.pk}/events")
    assert (answer.status_code, answer.streaming) == (200, False)
    assert answer.headers["Content-Type"].startswith("text/event-stream")
