"""Tasks: which one a key names in a workspace, and the workspace's own, which are immutable versions.

A key of the catalogue is the catalogue's in every workspace. A workspace's own task is the newest version under its
key; what was asked of an earlier one is answered by that. Documents and their vectors are stored once for all versions
of a task, so that every version has the same fields and reads the same text of a document.
"""

from datetime import datetime
from typing import Final, NamedTuple

from django.db import transaction
from django.db.models import QuerySet

from lamp.catalogue import CATALOGUE, UnknownTask, get_task
from lamp.task_definitions import definition_of, own_task_from, task_from
from lamp.tasks import Task
from users_app.models import ApiKey, Workspace, WorkspaceTask

MOST_TASKS: Final = 100
"""How many tasks of its own a workspace may have: all of them are read for a list."""
MOST_VERSIONS: Final = 100
"""How many versions a task may have: all of them are read to show it."""


class UnknownTaskVersion(UnknownTask):
    """The task has no such version: another installation's, or one of the catalogue's that has changed since."""

    safe_message = True


class ReadsOtherDocuments(ValueError):
    """A new version would read other documents than those that stand; `parts` names what differs."""

    def __init__(self, parts: tuple[str, ...]) -> None:
        super().__init__(f"A new version of a task has the same {' and '.join(parts)}.")
        self.parts = parts


class TooManyTasks(ValueError):
    """The workspace has as many tasks, or the task as many versions, as there may be."""


class TaskVersion(NamedTuple):
    """A version of a task: the workspace's own and when it was defined, or the catalogue's."""

    task: Task
    own: bool = False
    created_at: datetime | None = None


def task_of(*, workspace: Workspace, key: str) -> Task:
    """The task that `key` names: the catalogue's in any usual spelling, else the newest of the workspace's own.

    Use the answer's own `key` from there on. Raises `lamp.catalogue.UnknownTask`.
    """
    try:
        return get_task(key)
    except UnknownTask:
        row = _own_versions(workspace, key).first()
        if row is None:
            raise
        return task_from(row.definition)


def task_version_of(*, workspace: Workspace, key: str, version: str) -> Task:
    """The task as it was in that version (`Task.version`): what was asked then is answered by it.

    Raises `UnknownTask`, `UnknownTaskVersion` among them.
    """
    task = task_of(workspace=workspace, key=key)
    if task.version == version:
        return task
    row = _own_versions(workspace, task.key).filter(version=version).first()
    if row is None:
        raise UnknownTaskVersion(f"The task {task.key} has no such version here.")
    return task_from(row.definition)


def tasks_of(*, workspace: Workspace) -> list[TaskVersion]:
    """Every task's version in force: the catalogue's, then the workspace's own, each by key."""
    catalogue = sorted(CATALOGUE.values(), key=lambda task: task.key)
    return [*map(TaskVersion, catalogue), *map(_version, _own_tasks(workspace))]


def versions_of(*, workspace: Workspace, key: str, version: str | None = None) -> list[TaskVersion]:
    """The versions of a task, the one in force first; those that are `version` where one is named.

    Raises `UnknownTask`.
    """
    task = task_of(workspace=workspace, key=key)
    if task.key in CATALOGUE:
        found = [TaskVersion(task)]
    else:
        found = [_version(row) for row in _own_versions(workspace, task.key)]
    return [one for one in found if version in (None, one.task.version)]


@transaction.atomic
def define_task(
    *, workspace: Workspace, definition: object, created_by: ApiKey | None = None
) -> tuple[TaskVersion, bool]:
    """Put `definition` (JSON as Python has it) in force as the next version of its task, unless it is already.

    Returns the version in force, and whether it was made just now.

    Raises `lamp.task_definitions.InvalidDefinition`, `ReadsOtherDocuments` and `TooManyTasks`.
    """
    task = own_task_from(definition)
    # One definition a workspace at a time, so that versions are numbered one after another.
    Workspace.objects.select_for_update(no_key=True).get(pk=workspace.pk)
    standing = _own_versions(workspace, task.key).first()
    if standing is not None and standing.version == task.version:
        return _version(standing), False
    if standing is None:
        if _own_tasks(workspace).count() >= MOST_TASKS:
            raise TooManyTasks(f"This workspace has {MOST_TASKS} tasks of its own, which is the most.")
    else:
        _require_same_documents(task_from(standing.definition), task)
        if standing.number >= MOST_VERSIONS:
            raise TooManyTasks(f"This task has {MOST_VERSIONS} versions, which is the most.")
    row = WorkspaceTask.objects.create(
        workspace=workspace,
        key=task.key,
        number=1 if standing is None else standing.number + 1,
        version=task.version,
        definition=definition_of(task),
        created_by=created_by,
    )
    row.refresh_from_db(fields=["created_at"])
    return _version(row), True


def _own_versions(workspace: Workspace, key: str) -> QuerySet[WorkspaceTask]:
    """One of the workspace's own tasks, the version in force first."""
    return WorkspaceTask.objects.filter(workspace=workspace, key=key).order_by("-number")


def _own_tasks(workspace: Workspace) -> QuerySet[WorkspaceTask]:
    """The version in force of each of the workspace's own tasks, by key."""
    return WorkspaceTask.objects.filter(workspace=workspace).order_by("key", "-number").distinct("key")


def _version(row: WorkspaceTask) -> TaskVersion:
    return TaskVersion(task_from(row.definition), own=True, created_at=row.created_at)


def _require_same_documents(standing: Task, new: Task) -> None:
    differ = []
    if set(new.fields) != set(standing.fields):
        differ.append("fields")
    if new.document != standing.document:
        differ.append("document")
    if differ:
        raise ReadsOtherDocuments(tuple(differ))
