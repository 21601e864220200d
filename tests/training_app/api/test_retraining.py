"""Retraining over the API: policies, the dry run, and sweeps."""

import pytest

from jobs import runner
from tests import people
from tests.people import give
from tests.training_app.adapters import a_base_model
from tests.training_app.retraining.policies import a_policy, end, ends_as, trained
from training_app.models import Retraining, RetrainingPolicy, RetrainingSweep
from training_app.retraining import sweeps
from training_app.retraining.sweeps import start_sweep
from users_app.models import AuditEntry

POLICIES = "/api/v1/retraining-policies"
BODY = {
    "name": "nightly",
    "task": "LaMP-7",
    "base_model": "some/t5",
    "new_documents": 5,
    "minimum_documents": 3,
    "schedule": {"crontab": "30 3 * * *", "timezone": "Europe/Berlin"},
}


@pytest.fixture
def base_model(db):
    return a_base_model()


def errors(answer):
    assert answer.status_code == 400
    return [error["field"] for error in answer.json()["errors"]]


class TestPolicies:
    def test_are_made_looked_at_and_listed(self, api, base_model):
        made = api.post(POLICIES, {**BODY, "rank": 4, "hyperparameters": {"epochs": 2}}, format="json")
        assert made.status_code == 201
        body = made.json()
        assert made["Location"] == f"{POLICIES}/{body['id']}"
        assert (body["name"], body["task"], body["rank"], body["order"]) == ("nightly", "LaMP-7", 4, "most_changed")
        assert body["base_model"] == {"name": "some/t5", "revision": "1"}
        assert body["schedule"] == {
            "crontab": "30 3 * * *", "timezone": "Europe/Berlin", "every": None, "period": None,
        }  # fmt: skip
        assert body["hyperparameters"]["epochs"] == 2
        assert (body["new_share"], body["budget_users"], body["last_swept_at"]) == (None, None, None)
        assert api.get(made["Location"]).json() == body
        assert api.get(POLICIES).json()["data"] == [body]

    def test_are_made_once_a_key(self, api, base_model):
        first, second = (
            api.post(POLICIES, BODY, format="json", headers={"Idempotency-Key": "made-once"}) for _ in range(2)
        )
        assert first.json() == second.json()
        assert second["Idempotency-Replayed"] == "true"
        assert RetrainingPolicy.objects.count() == 1

    def test_are_changed(self, api, base_model):
        address = api.post(POLICIES, BODY, format="json")["Location"]
        changes = {"schedule": {"every": 6, "period": "hours"}, "new_documents": None, "max_age_days": 30}
        changed = api.patch(address, {**changes, "enabled": False}, format="json").json()
        assert changed["schedule"] == {"crontab": None, "timezone": None, "every": 6, "period": "hours"}
        assert (changed["new_documents"], changed["max_age_days"], changed["enabled"]) == (None, 30.0, False)
        assert changed["minimum_documents"] == 3
        assert api.patch(address, {"schedule": None}, format="json").json()["schedule"] is None

    def test_are_deleted(self, api, base_model):
        address = api.post(POLICIES, BODY, format="json")["Location"]
        assert api.delete(address).status_code == 204
        assert api.get(address).status_code == 404

    def test_are_in_the_audit_log_with_the_key_that_made_them(self, api, base_model):
        address = api.post(POLICIES, BODY, format="json")["Location"]
        api.patch(address, {"seed": 1}, format="json")
        api.delete(address)
        entries = AuditEntry.objects.filter(actor="api_key", actor_name="a program").order_by("pk")
        assert [entry.action.rpartition(".")[2] for entry in entries] == ["created", "changed", "deleted"]

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"name": ""}, "/name"),
            ({"task": "nothing"}, "/task"),
            ({"base_model": "nothing"}, "/base_model"),
            ({"rank": 0}, "/rank"),
            ({"new_documents": None}, "/new_documents"),
            ({"new_documents": "5"}, "/new_documents"),
            ({"hyperparameters": {"rank": 4}}, "/hyperparameters/rank"),
            ({"hyperparameters": {"alpha": -1}}, "/hyperparameters/alpha"),
            ({"schedule": {"crontab": "99 3 * * *"}}, "/schedule"),
            ({"schedule": {"crontab": "30 3 * * *", "every": 5}}, "/schedule"),
            ({"schedule": {}}, "/schedule"),
            ({"schedule": {"every": 5, "period": "seconds"}}, "/schedule/period"),
            ({"held_out_share": 1}, "/held_out_share"),
            ({"order": "by name"}, "/order"),
            ({"unknown": 1}, "/unknown"),
        ],
    )
    def test_say_what_is_wrong_with_them(self, api, base_model, changes, field):
        assert errors(api.post(POLICIES, {**BODY, **changes}, format="json")) == [field]

    def test_have_names_of_their_own(self, api, base_model):
        api.post(POLICIES, BODY, format="json")
        assert errors(api.post(POLICIES, BODY, format="json")) == ["/name"]

    def test_keep_their_task_base_model_and_rank(self, api, base_model):
        address = api.post(POLICIES, BODY, format="json")["Location"]
        assert errors(api.patch(address, {"rank": 4}, format="json")) == ["/rank"]


class TestTheDryRun:
    def test_lists_who_is_due_and_why_and_begins_nothing(self, api, workspace, alice, bob):
        trained(alice)
        give(alice, [{"text": "one"}, {"text": "two"}])
        policy = a_policy(workspace)
        found = api.get(f"{POLICIES}/{policy.pk}/due").json()
        assert found["next_cursor"] is None
        first, second = found["data"]
        assert first == {"user": "bob", "due_for": {"first": True}, "new": 4, "removed": 0, "age_days": None}
        assert (second["user"], second["due_for"], second["new"]) == ("alice", {"new": 2}, 2)
        assert not Retraining.objects.exists()

    def test_comes_in_pages(self, api, workspace):
        for name in "abcde":
            people.person(workspace, name, [{"text": "one"}, {"text": "two"}])
        address = f"{POLICIES}/{a_policy(workspace).pk}/due"
        users, cursor = [], None
        while cursor is not None or not users:
            page = api.get(address, {"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
            users += [one["user"] for one in page["data"]]
            cursor = page["next_cursor"]
        assert users == list("abcde")
        assert errors(api.get(address, {"cursor": "forged"})) == ["?cursor"]
        other = a_policy(workspace, name="other")
        stolen = api.get(address, {"limit": 2}).json()["next_cursor"]
        assert errors(api.get(f"{POLICIES}/{other.pk}/due", {"cursor": stolen})) == ["?cursor"]

    def test_of_a_task_that_is_no_more_says_so(self, api, workspace):
        answer = api.get(f"{POLICIES}/{a_policy(workspace, task='gone').pk}/due")
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:lamppost:problem:task-gone")


@pytest.mark.django_db(transaction=True)
class TestSweeps:
    @pytest.fixture
    def policy(self, workspace, alice, bob):
        return a_policy(workspace)

    def test_are_started_by_a_job_and_followed(self, api, policy, monkeypatch):
        monkeypatch.setattr(sweeps, "_begin", ends_as("kept", seconds=2.5))
        asked = api.post(f"{POLICIES}/{policy.pk}/sweeps", headers={"Idempotency-Key": "now"})
        assert asked.status_code == 202
        runner.run_waiting(["sweep_retraining"])
        number = api.get(asked["Location"]).json()["result"]["sweep_id"]
        sweep = api.get(f"/api/v1/retraining-sweeps/{number}").json()
        assert (sweep["state"], sweep["due"], sweep["trained"], sweep["training_seconds"]) == ("done", 2, 2, 5.0)
        assert (sweep["counts"]["kept"], sweep["counts"]["promoted"]) == (2, 0)
        assert (sweep["policy_id"], sweep["rules"]["rank"]) == (policy.pk, 8)
        assert sweep["asked_by"].startswith("api key ")
        assert api.get(f"{POLICIES}/{policy.pk}/sweeps").json()["data"] == [sweep]
        retrained = api.get(f"/api/v1/retraining-sweeps/{number}/retrainings").json()["data"]
        assert [(one["user"], one["state"], one["due_for"]) for one in retrained] == [
            ("alice", "kept", {"first": True}),
            ("bob", "kept", {"first": True}),
        ]
        assert retrained[0]["reason"] == "as the test says"
        assert api.get(f"/api/v1/retraining-sweeps/{number}/retrainings", {"state": "failed"}).json()["data"] == []
        api.post(f"{POLICIES}/{policy.pk}/sweeps", headers={"Idempotency-Key": "now"})
        assert runner.run_waiting(["sweep_retraining"]) == 0

    def test_are_cancelled_until_they_are_done(self, api, policy, monkeypatch):
        monkeypatch.setattr(sweeps, "_begin", ends_as("kept", at_once=False))
        sweep = start_sweep(policy=policy)
        address = f"/api/v1/retraining-sweeps/{sweep.pk}/cancel"
        assert [api.post(address).json()["state"] for _ in range(2)] == ["cancelled", "cancelled"]
        assert AuditEntry.objects.filter(action="retraining.cancelled", actor="api_key").count() == 1
        for one in sweep.retrainings.all():
            end(one.pk)
        done = start_sweep(policy=policy)
        answer = api.post(f"/api/v1/retraining-sweeps/{done.pk}/cancel")
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:lamppost:problem:sweep-not-cancellable")

    def test_keep_their_policy_while_somebody_is_retrained(self, api, policy, monkeypatch):
        monkeypatch.setattr(sweeps, "_begin", ends_as("kept", at_once=False))
        start_sweep(policy=policy)
        answer = api.delete(f"{POLICIES}/{policy.pk}")
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:lamppost:problem:retraining-under-way")
        assert RetrainingSweep.objects.get().state == "running"
