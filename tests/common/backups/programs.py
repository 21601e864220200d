"""Programs that stand in for PostgreSQL's."""

from pathlib import Path


def a_program(folder: Path, name: str, body: str) -> None:
    """A shell script of that name."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
