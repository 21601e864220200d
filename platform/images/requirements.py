"""What pyproject.toml asks for, and what a lock file pins."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY: Final = Path(__file__).resolve().parents[2]

_PIN = re.compile(r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(\[[^\]]*\])?==(?P<version>[^\s;\\]+)", re.MULTILINE)


@dataclass(frozen=True)
class Asked:
    """The dependencies of pyproject.toml: of web, and of each extra beside them; and what builds the package."""

    base: tuple[str, ...]
    extras: Mapping[str, tuple[str, ...]]
    build: tuple[str, ...]

    @classmethod
    def read(cls, path: Path = REPOSITORY / "pyproject.toml") -> Asked:
        """What stands in the file."""
        return cls.of(path.read_text())

    @classmethod
    def of(cls, text: str) -> Asked:
        """What stands in the text of a pyproject.toml."""
        content = tomllib.loads(text)
        project = content["project"]
        extras = {name: tuple(listed) for name, listed in project["optional-dependencies"].items()}
        return cls(tuple(project["dependencies"]), extras, tuple(content["build-system"]["requires"]))

    def named(self, extras: Iterable[str]) -> list[str]:
        """The dependencies of web and of these extras."""
        return [*self.base, *(line for extra in extras for line in self.extras[extra])]

    def digest(self) -> str:
        """Changes whenever any dependency does, and with nothing else."""
        everything = [sorted(self.base), sorted((name, sorted(lines)) for name, lines in self.extras.items())]
        return hashlib.sha256(json.dumps([*everything, sorted(self.build)]).encode()).hexdigest()


def pins(text: str) -> dict[str, str]:
    """Version by canonical name, of a lock file's text.

    >>> pins("Django==5.2.19 \\\\\\n    --hash=sha256:00\\nrank-bm25==0.2.2 ; python_version < '4'")
    {'django': '5.2.19', 'rank-bm25': '0.2.2'}
    """
    return {canonicalize_name(found["name"]): found["version"] for found in _PIN.finditer(text)}


def unmet(asked: Iterable[str], pinned: Mapping[str, str]) -> list[str]:
    """Those of the requirements `asked` that no pin fulfils.

    >>> unmet(["Django>=5.2,<5.3", "celery[redis]>=5.5", "ijson"], {"django": "5.3", "celery": "5.7.0"})
    ['Django<5.3,>=5.2', 'ijson']
    """
    requirements = [Requirement(line) for line in asked]
    return [
        str(requirement)
        for requirement in requirements
        if (version := pinned.get(canonicalize_name(requirement.name))) is None
        or not requirement.specifier.contains(version, prereleases=True)
    ]
