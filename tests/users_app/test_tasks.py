"""A workspace's own tasks: versions that never change, found by key beside the catalogue's, and by nobody else."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import IntegrityError, connection, transaction

from lamp.catalogue import CATALOGUE, LAMP_4, UnknownTask
from lamp.task_definitions import InvalidDefinition, own_task_from
from tests import people
from tests.lamp.own_tasks import MOODS, REPLIES, changed
from users_app import tasks
from users_app.models import WorkspaceTask
from users_app.tasks import (
    ReadsOtherDocuments,
    TooManyTasks,
    UnknownTaskVersion,
    define_task,
    task_of,
    task_version_of,
    tasks_of,
    versions_of,
)

RETITLED = changed(REPLIES, "/title", "Answers")


@pytest.fixture
def elsewhere(db):
    return people.workspace("elsewhere")


def test_a_task_of_ones_own_is_found_by_its_key(workspace):
    defined, created = define_task(workspace=workspace, definition=REPLIES)
    assert created
    assert defined.own
    assert task_of(workspace=workspace, key="replies") == defined.task == own_task_from(REPLIES)


@pytest.mark.parametrize("key", ["LaMP-4", "lamp_4", "LAMP-4"])
def test_the_catalogues_keys_are_the_catalogues_in_every_workspace(workspace, key):
    assert task_of(workspace=workspace, key=key) is LAMP_4


def test_another_workspace_has_no_such_task(workspace, elsewhere):
    defined, _ = define_task(workspace=workspace, definition=REPLIES)
    with pytest.raises(UnknownTask):
        task_of(workspace=elsewhere, key="replies")
    with pytest.raises(UnknownTask):
        task_version_of(workspace=elsewhere, key="replies", version=defined.task.version)


def test_two_workspaces_may_use_one_key(workspace, elsewhere):
    define_task(workspace=workspace, definition=REPLIES)
    define_task(workspace=elsewhere, definition={**MOODS, "key": "replies"})
    assert task_of(workspace=workspace, key="replies").fields == ("question", "reply")
    assert task_of(workspace=elsewhere, key="replies").fields == ("page", "mood")


@pytest.mark.parametrize("key", ["Replies", "reply", "", "replies "])
def test_a_key_of_ones_own_has_one_spelling(workspace, key):
    define_task(workspace=workspace, definition=REPLIES)
    with pytest.raises(UnknownTask):
        task_of(workspace=workspace, key=key)


def test_the_newest_version_is_in_force_and_the_others_stay(workspace):
    first, _ = define_task(workspace=workspace, definition=REPLIES)
    second, created = define_task(workspace=workspace, definition=RETITLED)
    assert created
    assert task_of(workspace=workspace, key="replies") == second.task
    assert task_version_of(workspace=workspace, key="replies", version=first.task.version) == first.task
    assert versions_of(workspace=workspace, key="replies") == [second, first]
    assert versions_of(workspace=workspace, key="replies", version=first.task.version) == [first]


def test_the_same_definition_again_makes_no_version(workspace):
    first, _ = define_task(workspace=workspace, definition=REPLIES)
    again, created = define_task(workspace=workspace, definition=dict(reversed(REPLIES.items())))
    assert not created
    assert again == first
    assert WorkspaceTask.objects.count() == 1


def test_an_earlier_version_can_be_put_in_force_again(workspace):
    for definition in (REPLIES, RETITLED, REPLIES):
        define_task(workspace=workspace, definition=definition)
    assert task_of(workspace=workspace, key="replies") == own_task_from(REPLIES)
    assert [one.task.title for one in versions_of(workspace=workspace, key="replies")] == [
        "Replies to customers",
        "Answers",
        "Replies to customers",
    ]


def test_an_unknown_version_is_refused(workspace):
    define_task(workspace=workspace, definition=REPLIES)
    for key in ("replies", "LaMP-4"):
        with pytest.raises(UnknownTaskVersion):
            task_version_of(workspace=workspace, key=key, version="0" * 64)
        assert versions_of(workspace=workspace, key=key, version="0" * 64) == []


def test_every_version_has_the_same_fields(workspace):
    define_task(workspace=workspace, definition=REPLIES)
    for fields in (["question", "reply", "mood"], ["question"]):
        fewer = changed(REPLIES, "/entry/template", '"{question}"') if fields == ["question"] else REPLIES
        fewer = {**changed(fewer, "/pair", None), "fields": fields, "document": "{question}"}
        with pytest.raises(ReadsOtherDocuments) as refused:
            define_task(workspace=workspace, definition=fewer)
        assert refused.value.parts == ("fields", "document")


def test_every_version_reads_the_same_text_of_a_document(workspace):
    define_task(workspace=workspace, definition=REPLIES)
    with pytest.raises(ReadsOtherDocuments) as refused:
        define_task(workspace=workspace, definition=changed(REPLIES, "/document", "{reply}"))
    assert refused.value.parts == ("document",)


def test_the_order_of_fields_may_change(workspace):
    define_task(workspace=workspace, definition=REPLIES)
    _, created = define_task(workspace=workspace, definition={**REPLIES, "fields": ["reply", "question"]})
    assert created


def test_what_is_wrong_is_not_stored(workspace):
    with pytest.raises(InvalidDefinition):
        define_task(workspace=workspace, definition=changed(REPLIES, "/document", "{x}"))
    assert not WorkspaceTask.objects.exists()


def test_tasks_and_versions_are_bounded(workspace, monkeypatch):
    monkeypatch.setattr(tasks, "MOST_TASKS", 1)
    monkeypatch.setattr(tasks, "MOST_VERSIONS", 2)
    define_task(workspace=workspace, definition=REPLIES)
    with pytest.raises(TooManyTasks):
        define_task(workspace=workspace, definition=MOODS)
    define_task(workspace=workspace, definition=RETITLED)
    with pytest.raises(TooManyTasks):
        define_task(workspace=workspace, definition=REPLIES)
    _, created = define_task(workspace=workspace, definition=RETITLED)
    assert not created


def test_all_tasks_are_listed_the_catalogues_first(workspace, elsewhere):
    for definition in (REPLIES, MOODS, RETITLED):
        define_task(workspace=workspace, definition=definition)
    define_task(workspace=elsewhere, definition={**MOODS, "key": "theirs"})
    listed = tasks_of(workspace=workspace)
    assert [one.task.key for one in listed] == [*CATALOGUE, "moods", "replies"]
    assert [one.own for one in listed] == [False] * len(CATALOGUE) + [True, True]
    assert listed[-1].task.title == "Answers"


def test_a_number_of_a_version_is_given_once(workspace):
    define_task(workspace=workspace, definition=REPLIES)
    row = WorkspaceTask.objects.get()
    row.pk = None
    with pytest.raises(IntegrityError), transaction.atomic():
        row.save(force_insert=True)


@pytest.mark.django_db(transaction=True)
def test_definitions_at_the_same_time_are_versions_one_after_another(workspace):
    together = Barrier(4)

    def define(title):
        together.wait(timeout=20)
        try:
            return define_task(workspace=workspace, definition={**REPLIES, "title": title})[1]
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        created = list(threads.map(define, ["a", "b", "c", "c"]))
    assert sum(created) in (3, 4)  # 4 where another came between the two that are the same
    assert sorted(WorkspaceTask.objects.values_list("number", flat=True)) == list(range(1, sum(created) + 1))
