"""The wall around each workspace: every route there is, for every method, is closed to whoever has no business there.

The routes are those of the URL conf, so a new one is covered as it is added. Numbers and names in an address are those
of things that exist in acme, where Alice and Bob are; the stranger's key is of another workspace.
"""

import json

import pytest
from django.apps import apps

from tests import people
from tests.everything import FILENAME, HOOKS, POLICY, one_of_everything
from tests.lamp.own_tasks import REPLIES
from tests.routes import METHODS, leads_to_workspace, routes, rows_of
from users_app.models import Scope

API = ("api/", "v1/")
# They say what the API is, to everyone, and hold nothing of anybody.
PUBLIC = ("/api/v1/openapi.json", "/api/v1/docs/")
# Beside the API, the pages of a workspace and the admin: for people without a workspace, and for what watches us.
OF_PEOPLE = {"/", "/login/", "/password/", "/logout/"}
OF_WATCHERS = {"/healthz", "/readyz", "/metrics"}
MANY = 1_000_000

BODIES = [
    {},
    [],
    {"user": "alice", "task": "LaMP-7", "input": "roses", "method": "none", "base_model": "some/t5"},
    {"user": "alice", "task": "LaMP-7", "input": "roses", "retriever": "rspg-pre", "base_model": "some/t5"},
    {"user": "alice", "model": "some/t5", "task": "LaMP-7", "prompt": "roses"},
    {"user": "alice", "model": "some/t5", "messages": [{"role": "user", "content": "roses"}]},
    {"user": "alice", "task": "LaMP-7", "base_model": "some/t5", "rank": 8},
    {"rating": "rejected"},
    {"url": "https://93.184.216.34/", "event_types": ["job.finished"]},
    {"enabled": False},
    {"id": "alice-0", "task": "LaMP-7", "fields": {"text": "a stranger's text"}},
    {"documents": [{"id": "alice-0", "task": "LaMP-7", "fields": {"text": "a stranger's text"}}]},
    {"filename": "questions.json", "bytes": 2},
    {"dataset": "tweets", "split": "dev", "questions": 1},
    {"name": "first", "dataset": "tweets", "methods": ["none"], "base_model": "some/t5"},
    {"name": "nightly", "task": "LaMP-7", "base_model": "some/t5", "new_documents": 1},
    {"kind": "rspg-pre", "dataset": "tweets", "base_model": "some/t5", "pool": ["none", "bm25"]},
]


@pytest.fixture
def acme(workspace, alice, bob, dev):
    return one_of_everything(workspace=workspace, alice=alice, dev=dev)


@pytest.fixture
def secrets(acme):
    """What nobody else may read: every text of the people of acme, and what was made of it."""
    texts = [entry["text"] for entry in [*people.OF_ALICE, *people.OF_BOB]]
    return [*texts, "rain on my roses", REPLIES["title"], HOOKS, FILENAME, POLICY]


@pytest.fixture
def everything_of():
    """Every row of a workspace, in every table that belongs to one."""

    def rows(workspace):
        models = [model for model in apps.get_models() if leads_to_workspace(model)]
        assert len(models) > 10
        return {model._meta.label: list(rows_of(model, workspace).order_by("pk").values()) for model in models}

    return rows


def of_api():
    return [route for route in routes(API) if str(route) not in PUBLIC]


def send(client, method, address, body=None):
    data = None if body is None else json.dumps(body)
    return client.generic(method, address, data or "", content_type="application/json")


def content(answer):
    return b"".join(answer.streaming_content) if answer.streaming else answer.content


def told(answer, secrets):
    """Those of `secrets` that an answer tells."""
    text = content(answer).decode() + str(answer.headers)
    return [secret for secret in secrets if secret in text or json.dumps(secret)[1:-1] in text]


def test_there_are_routes_to_walk():
    assert len(of_api()) >= 4


def test_every_route_stands_behind_a_wall_that_is_tested_or_is_named_here():
    """The pages' wall is `test_pages_wall`; what watchers are told is in `common/monitoring`."""
    others = {str(route) for route in routes(("",)) if not route.pattern.startswith((*API, "w/", "admin/"))}
    assert others == OF_PEOPLE | OF_WATCHERS


@pytest.mark.parametrize("route", of_api(), ids=str)
def test_each_method_of_a_view_has_a_scope(route):
    assert set(route.view.scopes) == {method for method in route.methods() if method != "HEAD"}
    assert set(route.view.scopes.values()) <= set(Scope)


def test_without_a_key_nothing_is_answered(acme, client_of, secrets):
    nobody = client_of(None)
    wrong = []
    for route in of_api():
        for method in METHODS:
            answer = send(nobody, method, route.address(acme)[0])
            if answer.status_code != 401 or "WWW-Authenticate" not in answer.headers or told(answer, secrets):
                wrong.append((method, str(route), answer.status_code))
    assert wrong == []


def test_without_the_scope_nothing_is_answered(acme, api_key, client_of, secrets, everything_of):
    lacking = {
        scope: client_of(api_key(scopes=[other for other in Scope if other != scope], requests_per_minute=MANY))
        for scope in Scope
    }
    before = everything_of(acme)
    wrong = []
    for route in of_api():
        for method in METHODS:
            scope = route.view.scopes.get("GET" if method == "HEAD" else method, Scope.READ)
            answer = send(lacking[scope], method, route.address(acme)[0])
            expected = 403 if method in route.methods() else 405
            if answer.status_code != expected or told(answer, secrets):
                wrong.append((method, str(route), answer.status_code))
    assert wrong == []
    assert without_use(everything_of(acme)) == without_use(before)


def test_a_stranger_finds_nothing_and_changes_nothing(acme, mallory, api_key, client_of, secrets, everything_of):
    stranger = client_of(api_key(workspace=mallory.workspace, requests_per_minute=MANY))
    before = everything_of(acme)
    wrong = []
    for route in of_api():
        for method in route.methods():
            for body in [None] if method in ("GET", "HEAD") else [None, *BODIES]:
                answer = send(stranger, method, route.address(acme)[0], body)
                # A client's own names (`PUT /users/alice`) mean another thing in each workspace; our numbers do not.
                closed = answer.status_code == 404 if route.has_numbers() else answer.status_code < 500
                if not closed or told(answer, secrets):
                    wrong.append((method, str(route), answer.status_code, body))
    assert wrong == []
    assert without_use(everything_of(acme)) == without_use(before)


def test_a_stranger_is_told_the_same_of_what_exists_and_of_what_never_did(acme, mallory, api_key, client_of):
    stranger = client_of(api_key(workspace=mallory.workspace, requests_per_minute=MANY))
    nowhere = people.workspace("nowhere")
    differing = []
    for route in of_api():
        if route.parameters and "GET" in route.methods():
            theirs, exists = route.address(acme)
            nobodys = route.address(nowhere)[0]
            answers = [stranger.get(address) for address in (theirs, nobodys)]
            if exists and told_of(answers[0]) != told_of(answers[1]):
                differing.append((str(route), [answer.status_code for answer in answers]))
    assert differing == []


def test_the_addresses_walked_are_those_of_things_that_the_owner_sees(acme, api_key, client_of):
    owner = client_of(api_key(requests_per_minute=MANY))
    unseen = []
    for route in of_api():
        address, exists = route.address(acme)
        if route.has_numbers() and exists and "GET" in route.methods() and owner.get(address).status_code == 404:
            unseen.append(address)
    assert unseen == []


def test_what_is_public_is_the_same_for_everyone(acme, api, client_of, secrets):
    for address in PUBLIC:
        answers = [client.get(address) for client in (client_of(None), api)]
        assert [answer.status_code for answer in answers] == [200, 200]
        assert answers[0].content == answers[1].content
        assert told(answers[0], secrets) == []


def test_a_key_opens_no_page_of_the_admin(acme, api, secrets):
    opened = []
    for route in routes(("admin/",)):
        if "(" not in route.pattern:
            answer = api.get(route.address(acme)[0])
            if (answer.status_code == 200 and "login" not in route.pattern) or told(answer, secrets):
                opened.append(str(route))
    assert opened in ([], ["/admin/jsi18n/"])


def told_of(answer):
    """What a stranger learns from an answer, without what differs by nature."""
    body = answer.json()
    body.pop("request_id", None)
    return answer.status_code, body


def without_use(rows):
    """Rows without the time of a key's last use."""
    rows = dict(rows)
    rows["users_app.ApiKey"] = [{**row, "last_used_at": None} for row in rows["users_app.ApiKey"]]
    return rows
