"""`/tasks`: the catalogue's tasks, and those that a workspace defines."""

import pytest

from lamp.catalogue import CATALOGUE, LAMP_7
from lamp.task_definitions import definition_of, own_task_from
from tests.lamp.own_tasks import MOODS, REPLIES, STARS, changed
from users_app.models import WorkspaceTask
from users_app.tasks import define_task

RETITLED = changed(REPLIES, "/title", "Answers")


def post(client, definition, **headers):
    return client.post("/api/v1/tasks", definition, format="json", headers=headers)


def test_a_defined_task_is_answered_whole(api):
    answer = post(api, REPLIES)
    task = own_task_from(REPLIES)
    assert answer.status_code == 201
    assert answer.headers["Location"] == "/api/v1/tasks/replies"
    shown = answer.json()
    assert shown.pop("created_at").endswith("Z")
    assert shown == {
        "key": "replies",
        "own": True,
        "title": "Replies to customers",
        "kind": "generation",
        "version": task.version,
        "document_fields": ["question", "reply"],
        "input_fields": ["question"],
        "definition": definition_of(task),
    }


def test_what_is_answered_can_be_sent_again(api):
    made = post(api, MOODS).json()
    again = post(api, made["definition"])
    assert again.status_code == 200
    assert again.json() == made


def test_another_definition_makes_the_next_version(api):
    first = post(api, REPLIES).json()
    second = post(api, RETITLED)
    assert second.status_code == 201
    shown = api.get("/api/v1/tasks/replies").json()
    assert {**second.json(), "versions": shown["versions"]} == shown
    assert [one["version"] for one in shown["versions"]] == [second.json()["version"], first["version"]]
    assert api.get(f"/api/v1/tasks/replies/versions/{first['version']}").json() == first


def test_who_defined_a_task_is_kept(api_key, client_of):
    issued = api_key(scopes=["manage"])
    post(client_of(issued), REPLIES)
    assert WorkspaceTask.objects.get().created_by == issued.key


@pytest.mark.parametrize("spelling", ["LaMP-7", "lamp_7"])
def test_a_task_of_the_catalogue_can_be_read(api, spelling):
    shown = api.get(f"/api/v1/tasks/{spelling}").json()
    assert (shown["key"], shown["own"], shown["created_at"]) == ("LaMP-7", False, None)
    assert shown["definition"] == definition_of(LAMP_7)
    assert shown["versions"] == [{"version": LAMP_7.version, "created_at": None}]


def test_a_definition_of_the_catalogue_can_be_taken_over_under_another_key(api):
    definition = api.get("/api/v1/tasks/LaMP-7").json()["definition"]
    assert post(api, definition).json()["errors"][0]["field"] == "/key"
    assert post(api, {**definition, "key": "tweets"}).status_code == 201


def test_tasks_are_listed_page_by_page(api, workspace):
    for definition in (REPLIES, MOODS, STARS):
        define_task(workspace=workspace, definition=definition)
    keys, cursor = [], ""
    while cursor is not None:
        page = api.get("/api/v1/tasks", {"limit": 4, **({"cursor": cursor} if cursor else {})}).json()
        assert 1 <= len(page["data"]) <= 4
        keys += [one["key"] for one in page["data"]]
        cursor = page["next_cursor"]
    assert keys == [*CATALOGUE, "moods", "replies", "stars"]


def test_a_page_of_another_workspaces_list_is_refused(api, stranger_api):
    cursor = stranger_api.get("/api/v1/tasks?limit=1").json()["next_cursor"]
    for wrong in (cursor, cursor[:-1], "x"):
        answer = api.get("/api/v1/tasks", {"cursor": wrong})
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["field"] == "?cursor"


def test_what_is_wrong_is_said_with_its_place_and_what_to_do(api):
    answer = post(api, changed(changed(REPLIES, "/document", "{x}"), "/metrics/0", "f1"))
    assert answer.status_code == 400
    assert answer.json()["type"] == "urn:lamppost:problem:invalid-input"
    assert answer.json()["errors"] == [
        {
            "field": "/document",
            "message": "This names x, which is none of: question, reply.",
            "remedy": "Name only these: question, reply.",
        },
        {
            "field": "/metrics/0",
            "message": "This is no metric of tasks of the kind generation.",
            "remedy": "Write one of rouge-1, rouge-L.",
        },
    ]


@pytest.mark.parametrize("body", [[], [REPLIES], {}, {"key": "a"}, {**REPLIES, "key": {"a": 1}}, {**REPLIES, "x": []}])
def test_what_is_no_definition_is_refused(api, body):
    answer = post(api, body)
    assert answer.status_code == 400
    assert answer.json()["errors"]
    assert not WorkspaceTask.objects.exists()


def test_a_version_for_other_documents_is_refused(api):
    post(api, REPLIES)
    answer = post(api, changed(REPLIES, "/document", "{reply}"))
    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:lamppost:problem:other-documents"
    assert [error["field"] for error in answer.json()["errors"]] == ["/document"]


def test_a_repeated_request_has_the_first_answer_even_after_a_later_version(api):
    first = post(api, REPLIES, **{"Idempotency-Key": "one"})
    post(api, RETITLED)
    again = post(api, REPLIES, **{"Idempotency-Key": "one"})
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["Idempotency-Replayed"] == "true"
    assert api.get("/api/v1/tasks/replies").json()["title"] == "Answers"


def test_another_workspace_sees_nothing_of_a_task(api, stranger_api):
    made = post(api, REPLIES).json()
    assert stranger_api.get("/api/v1/tasks/replies").status_code == 404
    assert stranger_api.get(f"/api/v1/tasks/replies/versions/{made['version']}").status_code == 404
    assert {one["key"] for one in stranger_api.get("/api/v1/tasks").json()["data"]} == set(CATALOGUE)


@pytest.mark.parametrize("address", ["nothing", "nothing/versions/1", f"LaMP-7/versions/{'0' * 64}", "LaMP-8"])
def test_what_is_not_there_is_not_found(api, address):
    assert api.get(f"/api/v1/tasks/{address}").status_code == 404


def test_defining_needs_its_scope(api_key, client_of):
    assert post(client_of(api_key(scopes=["read", "train"])), REPLIES).status_code == 403
    assert not WorkspaceTask.objects.exists()
