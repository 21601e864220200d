"""`python -m images.secret_files FOLDER`: make the secrets that docker-compose.yml reads; those that are there stay."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

# By the files' names. The object store's key is one by S3's rules: 20 characters, letters and digits.
SECRETS: Final[dict[str, Callable[[], str]]] = {
    "secret_key": lambda: secrets.token_urlsafe(64),
    # Earlier keys, after a rotation.
    "secret_key_fallbacks": lambda: "",
    "database_password": lambda: secrets.token_urlsafe(32),
    "broker_password": lambda: secrets.token_urlsafe(32),
    "s3_access_key": lambda: secrets.token_hex(10).upper(),
    "s3_secret_key": lambda: secrets.token_urlsafe(32),
}


def make(folder: Path) -> list[str]:
    """Make the files that are missing in `folder`; return their names.

    The folder lets nobody in but its owner. The files may be read by all: a container's user, who is another one, is
    given the file itself and not its folder.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = []
    for name, value in SECRETS.items():
        try:
            descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
        with os.fdopen(descriptor, "w") as file:
            file.write(value())
            os.fchmod(file.fileno(), 0o444)
        made.append(name)
    return made


def main(arguments: list[str]) -> int:
    """The command line."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m images.secret_files FOLDER\n")
        return 2
    made = make(Path(arguments[0]))
    sys.stdout.write(f"Made {', '.join(made)}.\n" if made else "All are there.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
