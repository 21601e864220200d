"""`python -m images.licences`: write docs/licences.md, the licence of everything that the lock pins.

What is installed says it of itself. A licence that is not in `ALLOWED` ends it with an error, before anybody ships it.
"""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from images import locks
from images.requirements import REPOSITORY, Asked, pins

FILE: Final = REPOSITORY / "docs" / "licences.md"

# By their SPDX names; "BSD" where a package does not say which of them. LGPL and MPL bind whoever changes the package
# itself, which is installed as its authors publish it.
ALLOWED: Final = frozenset(
    {
        "0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0",
        "CC0-1.0", "CNRI-Python", "ISC", "LGPL-3.0-only", "MIT", "MIT-0", "MIT-CMU", "MPL-2.0", "PSF-2.0", "Unlicense",
        "Zlib",
    }
)  # fmt: skip

# What packages write that have no SPDX expression: as their licence, or as a classifier.
_WRITTEN: Final = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache 2.0 License": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "Apache-2.0": "Apache-2.0",
    "Apache-2.0 OR MIT": "Apache-2.0 OR MIT",
    "Apache2.0": "Apache-2.0",
    "BSD": "BSD",
    "BSD 2-Clause License": "BSD-2-Clause",
    "BSD 3-Clause License": "BSD-3-Clause",
    "BSD 3-Clause OR Apache-2.0": "BSD-3-Clause OR Apache-2.0",
    "BSD License": "BSD",
    "BSD-2-Clause": "BSD-2-Clause",
    "BSD-3-Clause": "BSD-3-Clause",
    "ISC License": "ISC",
    "ISC License (ISCL)": "ISC",
    "LGPLv3": "LGPL-3.0-only",
    "MIT": "MIT",
    "MIT License": "MIT",
    "MIT OR Apache-2.0": "MIT OR Apache-2.0",
    "MPL-2.0": "MPL-2.0",
    "MPL-2.0 AND MIT": "MPL-2.0 AND MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "New BSD": "BSD-3-Clause",
    "PSFL": "PSF-2.0",
    "Python Software Foundation License": "PSF-2.0",
}

# Of packages whose metadata does not say it, from their sources; and of those that are pinned for other Pythons, or to
# build with, and so are not installed.
_KNOWN: Final = {
    "async-timeout": "Apache-2.0",
    "axe-playwright-python": "MIT",
    "editables": "MIT",
    "hatchling": "MIT",
    "tomlkit": "MIT",
    "trove-classifiers": "Apache-2.0",
}

# Pinned for platforms on which Lamppost does not run.
ELSEWHERE: Final = frozenset({"colorama", "httpx2-jsfetch"})

_HEAD: Final = """# Licences

What Lamppost installs, with the licence that each package states. `make licences` writes this list from what is
installed; a test keeps it complete, and refuses licences that are not in the list of `platform/images/licences.py`.

**web** and **workers** are in the images, **embedded** and **development** in a checkout alone.

Beside the packages of the lock:

- torch's builds for GPUs bring NVIDIA's CUDA libraries, which are under NVIDIA's own licence. Builds for CPUs do not.
- The embedded servers are PostgreSQL with pgvector (PostgreSQL licence), Redis 6.2 (BSD-3-Clause) and rclone (MIT).
- `docker-compose.yml` runs images of others: Python on Debian, PostgreSQL with pgvector, Redis 7.2 (BSD-3-Clause) and
  MinIO (AGPL-3.0). The servers are programs of their own behind an address, and each can be another one.

| package | version | licence | in |
|---|---|---|---|
"""


class UnknownLicence(ValueError):
    """A package does not state its licence in a way that is known here, or states one that is not allowed."""


@dataclass(frozen=True)
class Row:
    """One package of the list."""

    name: str
    version: str
    licence: str
    part: str

    def __str__(self) -> str:
        return f"| {self.name} | {self.version} | {self.licence} | {self.part} |"


def rows() -> Iterator[Row]:
    """Of everything that the lock pins for this platform, by name.

    Raises:
        UnknownLicence: That must be looked into by a person.
    """
    web, workers = (pins(lock.path.read_text()) for lock in (locks.WEB, locks.WORKER))
    embedded = {canonicalize_name(Requirement(line).name) for line in Asked.read().extras["embedded"]}
    for name, version in sorted(pins(locks.CONSTRAINTS.path.read_text()).items()):
        if name in ELSEWHERE:
            continue
        licence = licence_of(name)
        if not is_allowed(licence):
            raise UnknownLicence(f"{name} {version} is under {licence}, which is not among the allowed ones.")
        part = (
            "web, workers"
            if name in web
            else "workers"
            if name in workers or name == "torch"
            else "embedded"
            if name in embedded
            else "development"
        )
        yield Row(name, version, licence, part)


def licence_of(name: str) -> str:
    """The licence that the package states, as an SPDX expression where it can be told.

    Raises:
        UnknownLicence: It is not installed, or what it states is not known here.
    """
    if name in _KNOWN:
        return _KNOWN[name]
    try:
        metadata = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError as error:
        raise UnknownLicence(f"{name} is pinned and not installed. Run `make install`.") from error
    if "License-Expression" in metadata:
        return metadata["License-Expression"]
    classifiers = [value for value in metadata.get_all("Classifier", []) if value.startswith("License :: ")]
    stated = [metadata["License"] or "", *(value.rpartition(" :: ")[2] for value in classifiers)]
    known = [_WRITTEN[text] for text in stated if text in _WRITTEN]
    if not known:
        raise UnknownLicence(f"{name} does not state its licence in a way that is known here: {stated!r}"[:300])
    # What its licence field says is more exact than classifiers; of two classifiers, either will do.
    return known[0] if stated[0] in _WRITTEN else " OR ".join(known)


def is_allowed(licence: str) -> bool:
    """Whether an SPDX expression (without parentheses) can be fulfilled within `ALLOWED`.

    >>> is_allowed("MIT AND (GPL-3.0-only)"), is_allowed("GPL-3.0-only OR MIT"), is_allowed("MIT AND ISC")
    (False, True, True)
    """
    return any(all(part in ALLOWED for part in choice.split(" AND ")) for choice in licence.split(" OR "))


def main(file: Path = FILE) -> int:
    """Write the list."""
    try:
        text = _HEAD + "".join(f"{row}\n" for row in rows())
    except UnknownLicence as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    file.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
