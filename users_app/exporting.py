"""Everything that is stored of a person as a zip archive, made while it is sent.

Each app registers what it has to give, at its start, since this one may not import it. What was only computed from the
rest (vectors, scores, digests) is not part of it.
"""

import json
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction

from users_app.audit import INSTALLATION, Actor, record
from users_app.models import AuditEntry, EndUser, Workspace
from users_app.selectors import lock_end_users

CHUNK: Final = 500
"""How many rows exporters read at a time."""
_MOST_WAITING: Final = 64 * 1024


@dataclass(frozen=True)
class ExportFile:
    """One file of the archive: its path there, and its content as it is asked for."""

    path: str
    content: Iterable[bytes]
    compressed: bool = True


class _Waiting:
    """What `zipfile` writes to; it is taken from here and sent. It cannot seek, so sizes stand behind each file."""

    def __init__(self) -> None:
        self._blocks: list[bytes] = []
        self.size = 0

    def write(self, data: bytes) -> int:
        self._blocks.append(bytes(data))
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        pass

    def take(self) -> bytes:
        blocks, self._blocks, self.size = self._blocks, [], 0
        return b"".join(blocks)


@dataclass(frozen=True)
class Exporter:
    """What one app gives of a person."""

    name: str
    files: Callable[[Workspace, EndUser], Iterator[ExportFile]]


_exporters: dict[str, Exporter] = {}


def register(exporter: Exporter) -> None:
    """Let `exporter` take part in every export from now on; another one of its name is a ValueError."""
    if _exporters.setdefault(exporter.name, exporter) != exporter:
        raise ValueError(f"two exporters are called “{exporter.name}”")


def export_end_user(*, workspace: Workspace, end_user: EndUser, by: Actor = INSTALLATION) -> Iterator[bytes]:
    """The archive, in pieces: some rows and a compressor's window are in memory, however much there is.

    It is no snapshot: what changes meanwhile is as it was when its turn came. That `by` exports them is recorded
    before there is a piece, whether or not all of them are taken.

    Raises `EndUser.DoesNotExist` for somebody of another workspace, or who was erased meanwhile.
    """
    with transaction.atomic():
        lock_end_users(workspace=workspace, end_user_ids=[end_user.pk])
        record(workspace=workspace, action=AuditEntry.Action.END_USER_EXPORTED, by=by, end_user=end_user)
    return _archive(workspace, end_user)


def _archive(workspace: Workspace, end_user: EndUser) -> Iterator[bytes]:
    waiting = _Waiting()
    with zipfile.ZipFile(waiting, mode="w", compression=zipfile.ZIP_DEFLATED) as archive:  # type: ignore[call-overload]
        for exporter in _exporters.values():
            for file in exporter.files(workspace, end_user):
                entry = zipfile.ZipInfo(file.path)
                entry.compress_type = zipfile.ZIP_DEFLATED if file.compressed else zipfile.ZIP_STORED
                with archive.open(entry, mode="w", force_zip64=True) as opened:
                    for piece in file.content:
                        opened.write(piece)
                        if waiting.size >= _MOST_WAITING:
                            yield waiting.take()
                yield waiting.take()
    yield waiting.take()


def json_lines(rows: Iterable[Any]) -> Iterator[bytes]:
    """Each row as a line of JSON in UTF-8."""
    for row in rows:
        yield json.dumps(row, cls=DjangoJSONEncoder, ensure_ascii=False).encode() + b"\n"


def file_name(key: str) -> str:
    """A task's key, or a like name, as part of a path.

    >>> file_name("LaMP-7"), file_name("../x")
    ('LaMP-7', '..%2Fx')
    """
    return quote(key, safe=" ")
