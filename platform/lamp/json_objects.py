"""Writing one large JSON object as a stream: whole or not at all."""

import errno
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def write_json_object(path: Path, members: Iterable[tuple[str, Any]]) -> int:
    """Write `members` as one JSON object in UTF-8, one member a line; returns how many there were.

    They go to a file beside `path` that takes its name when it is complete, so whatever goes wrong leaves what stood
    there before. What is no regular file (a pipe, a terminal) is written to directly. Raises `OSError`.
    """
    path = path.resolve()  # a link stays a link
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "there is no such folder to write to", str(path.parent))
    if path.exists() and not path.is_file():
        return _write(path, members)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        count = _write(part, members)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return count


def _write(path: Path, members: Iterable[tuple[str, Any]]) -> int:
    count = 0
    with path.open("w", encoding="utf-8") as file:
        file.write("{")
        for name, value in members:
            file.write(",\n" if count else "\n")
            file.write(f"{json.dumps(name, ensure_ascii=False)}: {json.dumps(value, ensure_ascii=False)}")
            count += 1
        file.write("\n}\n" if count else "}\n")
    return count
