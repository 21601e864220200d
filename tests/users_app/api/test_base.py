"""What every view shares: scopes, rate limits, bodies, pages, idempotency, and problems for all that goes wrong."""

import json

import pytest

from common.api.bounded_streams import Places
from common.models import IdempotencyRecord
from tests import people
from users_app.models import EndUser

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.users_app.api.notes")]

NOTES = "/api/v1/notes"


def problem(response, status, slug):
    """The problem document, which must be of this kind."""
    assert response.headers["Content-Type"] == "application/problem+json"
    body = response.json()
    assert (response.status_code, body["status"], body["type"]) == (status, status, f"urn:lamppost:problem:{slug}")
    assert body["request_id"] == response.headers["X-Request-Id"]
    return body


def post_raw(api, body, content_type="application/json", address=NOTES, **headers):
    return api.generic("POST", address, body, content_type=content_type, headers=headers)


# Scopes


def test_the_scope_of_the_method_is_needed(api_key, client_of):
    reader = client_of(api_key(scopes=["read"]))
    assert reader.get(NOTES).status_code == 200
    assert problem(reader.post(NOTES, {"user": "carol"}), 403, "missing-scope")["scope"] == "profiles"


def test_head_needs_the_scope_of_get(api_key, client_of):
    assert client_of(api_key(scopes=["read"])).head(NOTES).status_code == 200
    assert client_of(api_key(scopes=["train"])).head(NOTES).status_code == 403


def test_a_method_without_a_scope_is_for_nobody(api):
    problem(api.get("/api/v1/unscoped"), 403, "missing-scope")


@pytest.mark.parametrize("method", ["put", "patch", "delete", "options", "trace"])
def test_a_method_that_the_view_lacks_is_405(api, method):
    answer = getattr(api, method)(NOTES)
    problem(answer, 405, "method-not-allowed")
    assert "POST" in answer.headers["Allow"]


# The wall


def test_a_user_of_the_workspace_is_found(api, alice):
    assert api.get(f"{NOTES}/alice").json() == {"user": "alice"}


def test_anothers_user_is_not_there_as_one_who_never_was(api, mallory):
    theirs, nobodys = api.get(f"{NOTES}/mallory").json(), api.get(f"{NOTES}/nobody").json()
    theirs.pop("request_id"), nobodys.pop("request_id")
    assert theirs == nobodys


def test_an_id_with_spaces_and_signs_is_found(api, workspace):
    people.person(workspace, "Zoë % ?#+ 1")
    assert api.get(f"{NOTES}/Zo%C3%AB%20%25%20%3F%23%2B%201").json() == {"user": "Zoë % ?#+ 1"}


@pytest.mark.parametrize("name", ["%00", "a%0Ab", "%ff%fe", "x" * 256, "a%2Fb", "%ED%A0%80"])
def test_what_no_id_can_be_is_not_there(api, name):
    problem(api.get(f"{NOTES}/{name}"), 404, "not-found")


# Problems


def test_an_unknown_address_below_the_api_is_a_problem_document(client):
    problem(client.get("/api/v1/nothing/here"), 404, "not-found")


def test_an_unknown_address_elsewhere_is_a_page(client):
    assert client.get("/nothing").headers["Content-Type"].startswith("text/html")


def test_a_host_that_is_not_ours_is_a_problem_document(client):
    problem(client.get(NOTES, headers={"host": "evil.example"}), 400, "bad-request")


def test_what_nobody_foresaw_is_logged_without_its_words(api, caplog):
    body = problem(api.get("/api/v1/broken"), 500, "server-error")
    assert "roses" not in json.dumps(body)
    assert "roses" not in caplog.text
    assert "notes.py" in caplog.text
    assert body["request_id"] in caplog.text


def test_a_database_that_is_away_says_when_to_come_back(api):
    answer = api.get("/api/v1/database-away")
    problem(answer, 503, "unavailable")
    assert answer.headers["Retry-After"] == "5"


def test_an_answer_in_another_form_is_not_acceptable(api):
    problem(api.get(NOTES, headers={"accept": "text/html"}), 406, "not-acceptable")


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
def test_a_body_of_another_type_is_not_read(api, content_type):
    problem(post_raw(api, b'{"user": "carol"}', content_type), 415, "unsupported-media-type")


def test_a_compressed_body_is_not_read(api):
    problem(post_raw(api, b"{}", **{"content-encoding": "gzip"}), 415, "unsupported-media-type")


def test_a_body_that_cannot_be_parsed_is_malformed(api):
    problem(post_raw(api, b'{"user": '), 400, "malformed-body")


def test_a_body_beyond_the_limit_is_too_large(api, settings):
    settings.API_MAX_BODY_BYTES = 20
    problem(post_raw(api, b'{"user": "carol-and-carol"}'), 413, "body-too-large")


def test_every_field_error_has_a_place_and_a_remedy(api):
    body = {"times": "5", "tags": [{"name": "ok"}, {"name": 3, "b/c~d": 1}, 7], "color": "red"}
    errors = problem(api.post(NOTES, body), 400, "invalid-input")["errors"]
    assert {error["field"] for error in errors} == {
        "/user", "/times", "/tags/1/name", "/tags/1/b~1c~0d", "/tags/2", "/color"
    }  # fmt: skip
    assert all(error["message"] and error["remedy"] for error in errors)


def test_a_list_where_an_object_belongs(api):
    [error] = problem(api.post(NOTES, [1]), 400, "invalid-input")["errors"]
    assert (error["field"], error["remedy"]) == ("", "Send a JSON object.")


@pytest.mark.parametrize(
    ("query", "field"),
    [("?limit=0", "?limit"), ("?limit=201", "?limit"), ("?limit=x", "?limit"), ("?color=red", "?color"),
     ("?limit=1&limit=2", "?limit"), ("?after=%00", "?after"), ("?cursor=nonsense", "?cursor")],
)  # fmt: skip
def test_a_wrong_query_parameter_is_named(api, query, field):
    [error] = problem(api.get(NOTES + query), 400, "invalid-input")["errors"]
    assert error["field"] == field


# Pages


@pytest.fixture
def seven(workspace):
    """Seven people, in the order of their names."""
    return [people.person(workspace, name).external_id for name in "abcdefg"]


def turn(api, query=""):
    """All pages of two, from the first on."""
    found, cursor = [], ""
    while True:
        page = api.get(f"{NOTES}?limit=2{query}{cursor}").json()
        found.append(page["data"])
        if page["next_cursor"] is None:
            return found
        cursor = f"&cursor={page['next_cursor']}"


def test_pages_hold_everyone_once(api, seven, mallory):
    assert turn(api) == [["a", "b"], ["c", "d"], ["e", "f"], ["g"]]


def test_a_filter_goes_through_all_pages(api, seven):
    assert turn(api, "&after=d") == [["e", "f"], ["g"]]


def test_rows_that_come_and_go_move_nobody(api, seven, workspace):
    cursor = api.get(f"{NOTES}?limit=2").json()["next_cursor"]
    people.person(workspace, "aa")
    EndUser.objects.filter(external_id="b").delete()
    assert api.get(f"{NOTES}?limit=2&cursor={cursor}").json()["data"] == ["c", "d"]


def test_a_cursor_of_another_workspace_is_none(api, stranger_api, seven):
    cursor = api.get(f"{NOTES}?limit=2").json()["next_cursor"]
    problem(stranger_api.get(f"{NOTES}?limit=2&cursor={cursor}"), 400, "invalid-input")


def test_a_cursor_with_another_filter_is_none(api, seven):
    cursor = api.get(f"{NOTES}?limit=2").json()["next_cursor"]
    problem(api.get(f"{NOTES}?limit=2&after=a&cursor={cursor}"), 400, "invalid-input")


# Idempotency


def test_a_repeated_request_has_one_effect_and_one_answer(api):
    first = api.post(NOTES, {"user": "carol"}, headers={"idempotency-key": "k1"})
    again = api.post(NOTES, {"user": "carol"}, headers={"idempotency-key": "k1"})
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"


def test_a_key_for_another_body_is_refused(api):
    api.post(NOTES, {"user": "carol"}, headers={"idempotency-key": "k1"})
    problem(api.post(NOTES, {"user": "dave"}, headers={"idempotency-key": "k1"}), 422, "idempotency-key-reused")
    assert not EndUser.objects.filter(external_id="dave").exists()


def test_workspaces_keys_are_their_own(api, stranger_api):
    mine = api.post(NOTES, {"user": "carol"}, headers={"idempotency-key": "k1"}).json()
    theirs = stranger_api.post(NOTES, {"user": "carol"}, headers={"idempotency-key": "k1"}).json()
    assert mine != theirs


@pytest.mark.parametrize("key", ["", "two words", "x" * 256, "ключ"])
def test_what_is_no_key_is_refused(api, key):
    answer = api.post(NOTES, {"user": "carol"}, headers={"idempotency-key": key})
    [error] = problem(answer, 400, "invalid-input")["errors"]
    assert error["field"] == "Idempotency-Key"


def test_a_refused_request_leaves_its_key_free(api):
    api.post(NOTES, {"user": ""}, headers={"idempotency-key": "k1"})
    assert api.post(NOTES, {"user": "carol"}, headers={"idempotency-key": "k1"}).status_code == 201


def test_no_text_of_the_request_is_kept(api):
    api.post(NOTES, {"user": "carol-the-gardener"}, headers={"idempotency-key": "k1"})
    record = IdempotencyRecord.objects.get()
    assert "carol" not in str(vars(record))


# Rate limits


def test_answers_say_what_is_left(api_key, client_of):
    headers = client_of(api_key(requests_per_minute=7)).get(NOTES).headers
    assert (headers["RateLimit-Limit"], headers["RateLimit-Remaining"]) == ("7", "6")
    assert 0 <= int(headers["RateLimit-Reset"]) <= 60


def test_beyond_the_limit_is_429_until_later(api_key, client_of):
    program = client_of(api_key(requests_per_minute=2))
    assert [program.get(NOTES).status_code for _ in range(2)] == [200, 200]
    answer = program.get(NOTES)
    problem(answer, 429, "rate-limited")
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert answer.headers["RateLimit-Remaining"] == "0"


def test_requests_that_were_refused_count_too(api_key, client_of):
    program = client_of(api_key(requests_per_minute=2, scopes=["train"]))
    assert [program.get(NOTES).status_code for _ in range(3)] == [403, 403, 429]


def test_keys_are_counted_apart(api_key, client_of):
    one, other = client_of(api_key(requests_per_minute=1)), client_of(api_key(requests_per_minute=1))
    assert [one.get(NOTES).status_code, one.get(NOTES).status_code, other.get(NOTES).status_code] == [200, 429, 200]


def test_without_redis_everybody_is_let_through(api_key, client_of, settings, caplog, monkeypatch):
    monkeypatch.setattr("common.api.rate_limits._away_until", 0.0)
    settings.API_RATE_LIMIT_STORAGE = "redis://127.0.0.1:9/0"
    program = client_of(api_key(requests_per_minute=1))
    answers = [program.get(NOTES) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert "RateLimit-Limit" not in answers[0].headers
    assert caplog.text.count("Redis is away") == 1


# Streams


def test_json_lines_are_read_one_by_one(api):
    answer = post_raw(api, b'{"a": 1}\n\n{"a"\r\n[2]', "application/x-ndjson", "/api/v1/lines")
    assert [(number, value) for number, value, errors in answer.json() if not errors] == [(1, {"a": 1}), (4, [2])]
    assert [number for number, _, errors in answer.json() if errors] == [3]


def test_a_body_of_unknown_length_is_read(api):
    """As a server gives it that understands `Transfer-Encoding: chunked`."""
    import io

    body = b'{"user": "carol"}'
    answer = api.generic(
        "POST",
        NOTES,
        content_type="application/json",
        headers={"transfer-encoding": "chunked"},
        **{"wsgi.input": io.BytesIO(body), "wsgi.input_terminated": True, "CONTENT_LENGTH": ""},
    )
    assert answer.status_code == 201


def test_events_come_as_a_stream(api):
    answer = api.get("/api/v1/ticks", headers={"accept": "text/event-stream"})
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert b"".join(answer.streaming_content) == b':\n\nevent: tick\ndata: {"n":1}\n\n'


def test_more_streams_than_there_is_room_for_are_refused(api, monkeypatch):
    monkeypatch.setattr("common.api.event_stream.EVENT_STREAMS", Places(1, busy="No room."))
    first = api.get("/api/v1/ticks")
    problem(api.get("/api/v1/ticks"), 503, "busy")
    list(first.streaming_content)  # which closes it
    assert api.get("/api/v1/ticks").status_code == 200


def test_a_problem_of_a_stream_is_a_document(client):
    problem(client.get("/api/v1/ticks", headers={"accept": "text/event-stream"}), 401, "not-authenticated")


# Headers


def test_the_clients_name_for_a_request_comes_back(api):
    assert api.get(NOTES, headers={"x-request-id": "order-66.a_B"}).headers["X-Request-Id"] == "order-66.a_B"


@pytest.mark.parametrize("name", ["", "two words", "x" * 65, "a\r\nb", "é"])
def test_another_name_is_made_for_what_is_none(api, name):
    given = api.get(NOTES, headers={"x-request-id": name}).headers["X-Request-Id"]
    assert len(given) == 32


def test_nothing_is_kept_by_caches_between(api):
    assert api.get(NOTES).headers["Cache-Control"] == "private, no-cache"


def test_other_sites_scripts_are_told_nothing(api):
    answer = api.get(NOTES, headers={"origin": "https://evil.example"})
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]
