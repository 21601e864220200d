"""`GET /audit`: what was done in a workspace, by whom, newest first."""

from datetime import UTC, datetime

import pytest

from users_app.models import AuditEntry, EndUser, Scope

AUDIT = "/api/v1/audit"
REQUEST = "0f8fad5b-d9cb-469f-a165-70867728950e"


@pytest.fixture
def program(api_key, client_of):
    """A program of acme that may do everything, and its key."""
    issued = api_key(name="nightly")
    return client_of(issued), issued.key


@pytest.fixture
def dated(workspace):
    """Make entries of these days."""

    def dated(*days):
        for day in days:
            at = datetime(2024, 5, day, tzinfo=UTC)
            AuditEntry.objects.create(
                workspace=workspace, action="quota.changed", actor="installation", at=at, subject=str(day)
            )

    return dated


def listed(api, **query):
    answer = api.get(AUDIT, query)
    assert answer.status_code == 200, answer.content
    return answer.json()["data"]


def test_an_export_says_who_asked_for_whose_data_by_which_request(program, alice):
    api, key = program
    sent = api.get("/api/v1/users/alice/export", headers={"X-Request-Id": REQUEST})
    b"".join(sent.streaming_content)
    [entry] = listed(api, action="end_user.exported")
    assert entry["actor"] == {"kind": "api_key", "name": "nightly", "key_prefix": key.prefix}
    assert (entry["user"], entry["request_id"], entry["subject"]) == ("alice", REQUEST, "")


def test_a_request_that_has_no_name_gets_one_and_one_that_is_called_after_somebody_is_not_kept(program, alice, bob):
    api, _ = program
    answer = api.delete("/api/v1/users/alice")
    api.delete("/api/v1/users/bob", headers={"X-Request-Id": "erase-bob"})
    assert [entry["request_id"] for entry in listed(api)[:2]] == ["", answer["X-Request-Id"]]


def test_exports_of_who_is_erased_meanwhile_are_not_found_and_take_no_place(program, alice, monkeypatch):
    def erased(**_):
        raise EndUser.DoesNotExist

    api, _ = program
    monkeypatch.setattr("users_app.api.end_users.export_end_user", erased)
    assert [api.get("/api/v1/users/alice/export").status_code for _ in range(5)] == [404] * 5


def test_looking_whether_there_is_an_export_is_none(program, alice):
    api, _ = program
    assert api.head("/api/v1/users/alice/export").status_code == 200
    assert listed(api, action="end_user.exported") == []


def test_after_the_erasure_an_export_is_of_nobody(program, alice):
    api, _ = program
    b"".join(api.get("/api/v1/users/alice/export").streaming_content)
    receipt = api.delete("/api/v1/users/alice").json()["id"]
    erased, exported = listed(api)[:2]
    assert (exported["action"], exported["user"]) == ("end_user.exported", None)
    assert (erased["action"], erased["user"], erased["subject"]) == ("end_user.erased", None, str(receipt))
    assert erased["actor"]["kind"] == "api_key"
    assert "alice" not in api.get(AUDIT).content.decode()


def test_an_erased_document_is_recorded_with_its_receipt(program, alice):
    api, key = program
    receipt = api.delete("/api/v1/users/alice/documents/alice-1").json()["id"]
    [entry] = listed(api, action="document.erased")
    assert (entry["subject"], entry["actor"]["key_prefix"]) == (str(receipt), key.prefix)


def test_webhooks_are_recorded_with_the_key_that_made_and_changed_them(program, receiver):
    api, key = program
    made = api.post("/api/v1/webhooks", {"url": receiver.url, "event_types": ["job.finished"]}).json()
    api.patch(f"/api/v1/webhooks/{made['id']}", {"enabled": False})
    api.post(f"/api/v1/webhooks/{made['id']}/rotate-secret")
    api.delete(f"/api/v1/webhooks/{made['id']}")
    recorded = [entry for entry in listed(api) if entry["action"].startswith("webhook.")]
    assert [entry["action"].partition(".")[2] for entry in recorded] == ["deleted", "changed", "changed", "created"]
    assert {(entry["subject"], entry["actor"]["key_prefix"]) for entry in recorded} == {(str(made["id"]), key.prefix)}


def test_what_was_not_found_leaves_no_entry(program, workspace):
    api, _ = program
    assert api.delete("/api/v1/users/nobody").status_code == 404
    assert api.get("/api/v1/users/nobody/export").status_code == 404
    assert {entry["action"] for entry in listed(api)} == {"api_key.created"}


def test_the_newest_come_first_and_each_once_page_by_page(api, dated):
    dated(2, 5, 5, 1, 3, 5)
    seen, query = [], {"limit": 2, "action": "quota.changed"}
    while True:
        page = api.get(AUDIT, query).json()
        seen += page["data"]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert [entry["subject"] for entry in seen] == ["5", "5", "5", "3", "2", "1"]
    assert len({entry["id"] for entry in seen}) == 6


def test_since_is_included_and_until_is_not(api, dated):
    dated(1, 2, 3, 4)
    asked = {"since": "2024-05-02T00:00:00Z", "until": "2024-05-04T00:00:00Z"}
    assert [entry["subject"] for entry in listed(api, **asked)] == ["3", "2"]
    assert [entry["subject"] for entry in listed(api, since="2024-05-04T00:00:00Z", action="quota.changed")] == ["4"]


@pytest.mark.parametrize(
    ("query", "field"), [({"action": "x"}, "?action"), ({"since": "today"}, "?since"), ({"user": "a"}, "?user")]
)
def test_what_is_no_filter_is_refused(api, query, field):
    answer = api.get(AUDIT, query)
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (400, [field])


def test_another_workspace_sees_its_own(api, stranger_api, alice):
    b"".join(api.get("/api/v1/users/alice/export").streaming_content)
    assert [entry["action"] for entry in listed(stranger_api)] == ["api_key.created"]


def test_it_is_for_who_manages(api_key, client_of):
    others = client_of(api_key(scopes=[scope for scope in Scope if scope != Scope.MANAGE]))
    assert others.get(AUDIT).status_code == 403
