"""`/users/{user_id}/documents`: what a person has written, put one by one, in lists and in streams."""

import json

import pytest

from jobs.models import Job
from tests.people import OF_ALICE, TWEETS, person
from training_app.models import Adapter
from users_app.models import Document, EndUser, ProfileEntry
from users_app.profiles import put_documents
from users_app.selectors import visible_documents

ALICE = "/api/v1/users/alice/documents"


def document(name="x", text="hello", **changed):
    return {"id": name, "task": TWEETS, "fields": {"text": text}, **changed}


def put(api, body, address=ALICE, **headers):
    return api.post(address, body, format="json", headers=headers)


def stream(api, *lines, address=ALICE, **headers):
    body = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    return api.post(address, body.encode(), content_type="application/x-ndjson", headers=headers)


def errors(answer):
    assert answer.status_code == 400, answer.content
    return {error["field"]: error["message"] for error in answer.json()["errors"]}


def texts(name="alice"):
    end_user = EndUser.objects.get(external_id=name)
    found = visible_documents(workspace=end_user.workspace, end_user=end_user, task=TWEETS)
    return [one.fields["text"] for one in found]


@pytest.fixture
def carol(workspace):
    return person(workspace, "carol")


class TestPutting:
    def test_one(self, api, alice):
        answer = put(api, document(date="2020-05-01"))
        assert answer.status_code == 200
        [entry] = ProfileEntry.objects.filter(client_id="x")
        assert answer.json() == {
            "created": 1,
            "replaced": 0,
            "unchanged": 0,
            "data": [{"id": "x", "task": TWEETS, "outcome": "created", "digest": bytes(entry.document.digest).hex()}],
        }
        assert entry.document.fields == {"text": "hello", "date": "2020-05-01"}

    def test_a_list_in_its_order(self, api, carol):
        answer = put(api, [document(str(at), f"text {at}") for at in range(3)], "/api/v1/users/carol/documents")
        assert [one["outcome"] for one in answer.json()["data"]] == ["created"] * 3
        assert texts("carol") == ["text 0", "text 1", "text 2"]

    def test_again_changes_nothing_and_something_else_replaces(self, api, alice):
        put(api, [document("a"), document("b")])
        answer = put(api, [document("a"), document("b", "something else")])
        assert {name: answer.json()[name] for name in ("created", "replaced", "unchanged")} == {
            "created": 0,
            "replaced": 1,
            "unchanged": 1,
        }
        assert texts()[-2:] == ["hello", "something else"]

    def test_a_task_may_be_spelled_as_usual_and_is_stored_by_its_key(self, api, alice):
        assert put(api, document(task="LaMP_7")).json()["data"][0]["task"] == "LaMP-7"

    def test_new_ones_are_to_be_embedded_by_a_job(self, api, alice):
        put(api, [document("a"), document("b", "else")])
        assert Job.objects.filter(kind="embed_documents", end_user_id=alice.pk).count() == 1

    def test_for_nobody_is_not_found(self, api, workspace):
        assert put(api, document(), "/api/v1/users/nobody/documents").status_code == 404

    def test_of_a_stranger_stores_nothing(self, stranger_api, alice):
        assert put(stranger_api, document()).status_code == 404
        assert not ProfileEntry.objects.filter(client_id="x").exists()

    def test_with_the_same_key_is_answered_again_and_done_once(self, api, alice):
        first = put(api, document(), **{"Idempotency-Key": "k"})
        put(api, document(text="changed since"))
        again = put(api, document(), **{"Idempotency-Key": "k"})
        assert again.json() == first.json()
        assert again.headers["Idempotency-Replayed"] == "true"
        assert texts()[-1] == "changed since"
        assert put(api, document(text="other"), **{"Idempotency-Key": "k"}).status_code == 422


class TestWhatIsWrongIsSaid:
    @pytest.mark.parametrize(
        ("changed", "place"),
        [
            ({"id": 7}, "/id"),
            ({"id": ""}, "/id"),
            ({"id": "a/b"}, "/id"),
            ({"id": ".."}, "/id"),
            ({"id": "x" * 256}, "/id"),
            ({"task": "LaMP-99"}, "/task"),
            ({"task": None}, "/task"),
            ({"fields": "hello"}, "/fields"),
            ({"fields": {}}, "/fields/text"),
            ({"fields": {"text": 7}}, "/fields/text"),
            ({"fields": {"text": "a", "title": "b"}}, "/fields/title"),
            ({"fields": {"text": "a", "date": 2020}}, "/fields/date"),
            ({"fields": {"text": "é" * 600_000}}, "/fields/text"),
            ({"date": "yesterday"}, "/date"),
            ({"date": "2020-02-30"}, "/date"),
            ({"date": True}, "/date"),
            ({"date": 2020.5}, "/date"),
            ({"score": 1}, "/score"),
        ],
        ids=str,
    )
    def test_by_the_place_in_the_body(self, api, alice, changed, place):
        assert set(errors(put(api, document(**changed)))) == {place}
        assert texts() == [fields["text"] for fields in OF_ALICE]

    def test_by_the_row_of_a_list_of_which_nothing_is_stored(self, api, alice):
        body = [document("a"), document("b", 7), "c", {"id": "d"}]
        assert set(errors(put(api, body))) == {"/1/fields/text", "/2", "/3/task", "/3/fields"}
        assert not ProfileEntry.objects.filter(client_id="a").exists()

    @pytest.mark.parametrize("count", [0, 1001])
    def test_of_lists_that_are_empty_or_too_long(self, api, alice, count):
        assert errors(put(api, [document(str(at)) for at in range(count)])) == {
            "": "The list does not hold 1 to 1,000 documents."
        }

    def test_and_never_quotes_a_text(self, api, alice):
        secret = "a secret of mine"
        answer = put(api, [document("a", secret, date=secret), document("b", secret, **{"fields": {"text": [secret]}})])
        assert answer.status_code == 400
        assert secret not in answer.content.decode()


def test_what_a_full_profile_has_no_room_for_is_refused(api, carol, monkeypatch):
    monkeypatch.setattr("users_app.profiles.MOST_DOCUMENTS", 1)
    answer = put(api, [document("a", "one"), document("b", "two")], address="/api/v1/users/carol/documents")
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:lamppost:problem:profile-full")
    assert texts("carol") == []


class TestStreaming:
    def test_stores_line_by_line(self, api, alice):
        answer = stream(api, document("a", "one"), "", document("b", "two"))
        assert answer.json() == {"created": 2, "replaced": 0, "unchanged": 0, "rejected": 0, "errors": []}
        assert texts()[-2:] == ["one", "two"]

    def test_of_more_than_a_chunk(self, api, carol):
        lines = [document(str(at), f"text {at}") for at in range(1_050)]
        answer = stream(api, *lines, address="/api/v1/users/carol/documents")
        assert answer.json()["created"] == 1_050
        assert texts("carol") == [f"text {at}" for at in range(1_050)]

    def test_leaves_out_a_chunk_with_an_error_and_says_which_line_it_was(self, api, carol):
        lines = [document(str(at), f"text {at}") for at in range(1_050)]
        lines[600] = document("600", 7)
        lines[700] = "no json"
        answer = stream(api, *lines, address="/api/v1/users/carol/documents").json()
        assert (answer["created"], answer["rejected"]) == (550, 500)
        assert [(error["line"], error["field"]) for error in answer["errors"]] == [(601, "/fields/text"), (701, "")]
        assert texts("carol") == [f"text {at}" for at in range(1_050) if not 500 <= at < 1_000]

    def test_leaves_out_a_chunk_that_the_profile_has_no_room_for(self, api, carol, monkeypatch):
        monkeypatch.setattr("users_app.profiles.MOST_DOCUMENTS", 700)
        lines = [document(str(at), f"text {at}") for at in range(1_050)]
        answer = stream(api, *lines, address="/api/v1/users/carol/documents").json()
        assert (answer["created"], answer["rejected"]) == (550, 500)
        [error] = answer["errors"]
        assert (error["line"], error["message"]) == (501, "A profile holds 700 documents of a task at most.")

    def test_in_which_nothing_is_in_order_is_refused(self, api, alice):
        answer = stream(api, document("a", 7), "no json")
        assert errors(answer)["/fields/text"].startswith("Line 1: ")

    def test_takes_no_idempotency_key(self, api, alice):
        assert set(errors(stream(api, document(), **{"Idempotency-Key": "k"}))) == {"Idempotency-Key"}

    def test_of_nothing_stores_nothing(self, api, alice):
        assert stream(api, "", "").json()["created"] == 0

    def test_beyond_the_limit_keeps_what_was_stored_before(self, api, carol, settings):
        settings.API_MAX_STREAM_BYTES = 200_000
        lines = [document(str(at), "x" * 200) for at in range(1_000)]
        answer = stream(api, *lines, address="/api/v1/users/carol/documents")
        assert answer.status_code == 413


class TestListing:
    def test_shows_what_was_sent(self, api, alice):
        put(api, document(date=2020))
        shown = api.get(ALICE).json()["data"][-1]
        assert shown.pop("added_at").endswith("Z")
        assert len(shown.pop("digest")) == 64
        assert shown == {"id": "x", "task": TWEETS, "fields": {"text": "hello"}, "date": 2020}

    def test_goes_page_by_page_in_the_order_in_which_they_came(self, api, alice):
        found, cursor = [], None
        while True:
            page = api.get(ALICE, {"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
            found += [one["id"] for one in page["data"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert found == [f"alice-{at}" for at in range(5)]

    def test_of_one_task(self, api, alice):
        put(api, {"id": "t", "task": "LaMP-5", "fields": {"title": "a title", "abstract": "of a paper"}})
        assert [one["id"] for one in api.get(ALICE, {"task": "LaMP-5"}).json()["data"]] == ["t"]

    def test_since_a_time(self, api, alice):
        ProfileEntry.objects.filter(client_id="alice-3").update(added_at="2030-01-01T00:00:00Z")
        found = api.get(ALICE, {"added_since": "2029-12-31T23:00:00Z"}).json()["data"]
        assert [one["id"] for one in found] == ["alice-3"]

    def test_leaves_out_what_was_replaced(self, api, alice):
        put(api, document("alice-0", "changed"))
        ids = [one["id"] for one in api.get(ALICE).json()["data"]]
        assert ids == ["alice-1", "alice-2", "alice-3", "alice-4", "alice-0"]

    def test_of_a_stranger_is_not_found(self, stranger_api, alice):
        assert stranger_api.get(ALICE).status_code == 404
        assert stranger_api.get(f"{ALICE}/alice-0").status_code == 404
        assert stranger_api.delete(f"{ALICE}/alice-0").status_code == 404


class TestOne:
    def test_is_found_by_its_id_and_named_by_its_content(self, api, alice):
        answer = api.get(f"{ALICE}/alice-2")
        assert answer.json()["fields"] == {"text": OF_ALICE[2]["text"]}
        assert answer.headers["ETag"] == f'"{answer.json()["digest"]}"'

    def test_that_is_known_is_not_sent_again(self, api, alice):
        tag = api.get(f"{ALICE}/alice-2").headers["ETag"]
        again = api.get(f"{ALICE}/alice-2", headers={"If-None-Match": f'"other", W/{tag}'})
        assert (again.status_code, again.content) == (304, b"")

    def test_of_an_id_that_two_tasks_have_must_be_named_by_its_task(self, api, alice):
        put(api, {"id": "alice-0", "task": "LaMP-5", "fields": {"title": "a title", "abstract": "of a paper"}})
        assert set(errors(api.get(f"{ALICE}/alice-0"))) == {"?task"}
        assert api.get(f"{ALICE}/alice-0", {"task": "LaMP-5"}).json()["fields"]["title"] == "a title"

    def test_is_erased_with_what_was_learned_from_it(self, api, alice, in_process):
        from tests.workers.asked import ask_for_adapter

        ask_for_adapter(alice)
        in_process("train_adapter")
        answer = api.delete(f"{ALICE}/alice-2")
        assert (answer.status_code, answer.json()["scope"]) == (200, "document")
        assert not Document.objects.filter(fields__text=OF_ALICE[2]["text"]).exists()
        assert Adapter.objects.get().withdrawn_at is not None
        assert api.get(f"{ALICE}/alice-2").status_code == 404
        assert api.delete(f"{ALICE}/alice-2").status_code == 404
        assert Job.objects.filter(kind="train_adapter", state="waiting").count() == 1

    def test_is_erased_only_if_it_is_the_one_that_was_seen(self, api, alice):
        tag = api.get(f"{ALICE}/alice-2").headers["ETag"]
        put(api, document("alice-2", "changed since"))
        assert api.delete(f"{ALICE}/alice-2", headers={"If-Match": tag}).status_code == 412
        tag = api.get(f"{ALICE}/alice-2").headers["ETag"]
        assert api.delete(f"{ALICE}/alice-2", headers={"If-Match": tag}).status_code == 200


class TestBounds:
    def test_a_document_has_a_bound_over_all_its_texts(self, api, alice):
        half = "x" * (2**19 + 1)
        answer = put(api, {"id": "x", "task": "LaMP-5", "fields": {"title": half, "abstract": half}})
        assert list(errors(answer)) == ["/fields"]

    def test_a_thousand_wrong_names_are_not_all_told(self, api, alice):
        answer = put(api, document(**{f"wrong{at}": 1 for at in range(1_000)}))
        assert len(errors(answer)) == 100
        assert "More than 100" in answer.json()["detail"]

    def test_long_lines_are_stored_in_smaller_chunks(self, api, carol, monkeypatch):
        monkeypatch.setattr("users_app.api.documents._STREAMED_BYTES", 2_000)
        sizes = []

        def stored(**told):
            sizes.append(len(told["documents"]))
            return put_documents(**told)

        monkeypatch.setattr("users_app.api.documents.put_documents", stored)
        lines = [document(str(at), "x" * 1_000) for at in range(5)]
        assert stream(api, *lines, address="/api/v1/users/carol/documents").json()["created"] == 5
        assert sizes == [2, 2, 1]
