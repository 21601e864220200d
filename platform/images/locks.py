"""`python -m images.locks`: pin every dependency anew. `--check`: are the pins pyproject.toml's? That asks no network.

| file | pins | hashes |
|---|---|---|
| constraints.txt | everything that a checkout may install | no: pip takes none where it installs a folder |
| platform/images/web.lock | the web image | yes |
| platform/images/worker.lock | the workers' images, torch and its GPU libraries apart | yes |
| platform/images/build.lock | what builds the few packages that come as source | yes |
| platform/images/torch.txt | torch, whose build (CPU, CUDA) is chosen where it is installed | no |
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from images.requirements import REPOSITORY, Asked, pins, unmet

FOLDER: Final = REPOSITORY / "platform" / "images"
_TORCH_FILE: Final = FOLDER / "torch.txt"
# The oldest Python that is supported: what it lacks and needs is pinned for it by a marker.
_PYTHON: Final = "3.11"
# They come with torch's builds for GPUs, each in its own versions.
_OF_TORCHS_BUILD: Final = ("nvidia-", "cuda-", "triton", "pytorch-triton")
_DIGEST: Final = "# Of the dependencies of pyproject.toml with the digest "


@dataclass(frozen=True)
class Lock:
    """One file of pins."""

    path: Path
    extras: tuple[str, ...]
    hashes: bool
    # What is asked for instead of pyproject.toml's dependencies.
    instead: tuple[str, ...] = ()
    # Also what builds the package itself.
    with_build: bool = False
    with_torch: bool = False

    def asked(self, asked: Asked) -> list[str]:
        """What it has to pin of the requirements of pyproject.toml."""
        if self.instead:
            return list(self.instead)
        lines = [*asked.named(self.extras), *(asked.build if self.with_build else ())]
        return [line for line in lines if self.with_torch or not _is_torch(line)]


CONSTRAINTS: Final = Lock(
    REPOSITORY / "constraints.txt", ("models", "embedded", "dev"), hashes=False, with_build=True, with_torch=True
)
WEB: Final = Lock(FOLDER / "web.lock", ("backups",), hashes=True)
WORKER: Final = Lock(FOLDER / "worker.lock", ("models",), hashes=True)
BUILD: Final = Lock(FOLDER / "build.lock", (), hashes=True, instead=("setuptools",))
LOCKS: Final = (CONSTRAINTS, WEB, WORKER, BUILD)


def torch_requirement(asked: Asked) -> str:
    """The line of pyproject.toml that names torch."""
    [line] = [line for line in asked.named(["models"]) if _is_torch(line)]
    return line


def write(*, upgrade: bool) -> None:
    """Resolve all of them. Versions stay where they may; with `upgrade` each is the newest that may be."""
    asked = Asked.read()
    constraints = _resolved(CONSTRAINTS, asked, keep=None if upgrade else CONSTRAINTS.path)
    CONSTRAINTS.path.write_text(_head(asked) + constraints)
    for lock in LOCKS[1:]:
        lock.path.write_text(_head(asked) + _resolved(lock, asked, keep=CONSTRAINTS.path))
    _TORCH_FILE.write_text(_head(asked) + torch_requirement(asked) + "\n")


def problems() -> list[str]:
    """Why the pins are not those of pyproject.toml, or not those of each other; empty where they are."""
    asked = Asked.read()
    everything = pins(CONSTRAINTS.path.read_text())
    found = [
        f"{path.name} is not of the dependencies that stand in pyproject.toml now."
        for path in (*(lock.path for lock in LOCKS), _TORCH_FILE)
        if _DIGEST + asked.digest() not in path.read_text()
    ]
    for lock in LOCKS:
        pinned = pins(lock.path.read_text())
        found += [f"{lock.path.name} does not pin {line}." for line in unmet(lock.asked(asked), pinned)]
        if lock.instead:
            continue
        found += [
            f"{lock.path.name} pins {name} {version}, constraints.txt {everything.get(name, 'nothing')}."
            for name, version in pinned.items()
            if everything.get(name) != version
        ]
    return found


def _resolved(lock: Lock, asked: Asked, *, keep: Path | None) -> str:
    """The pins as text, which stay at the versions of `keep` where they can."""
    # torch is resolved with the rest, so that what it needs beside its build is pinned too.
    lines = lock.instead or (*lock.asked(asked), *(() if lock.path == WEB.path else (torch_requirement(asked),)))
    with tempfile.TemporaryDirectory(prefix="lamppost-lock-") as folder:
        source, pinned = Path(folder) / "asked.in", Path(folder) / "pinned.txt"
        source.write_text("\n".join(lines) + "\n")
        # uv begins with what its output holds.
        pinned.write_text("" if keep is None else keep.read_text())
        subprocess.run(  # noqa: S603 (our own command line)
            [
                *(sys.executable, "-m", "uv", "pip", "compile", str(source), "--output-file", str(pinned)),
                *("--universal", "--python-version", _PYTHON, "--quiet", "--no-header", "--no-annotate"),
                *(("--generate-hashes",) if lock.hashes else ()),
            ],
            check=True,
        )
        return _without_torchs_build(pinned.read_text(), torch=lock.with_torch)


def _without_torchs_build(text: str, *, torch: bool) -> str:
    kept, keeping = [], True
    for line in text.splitlines(keepends=True):
        if not line.startswith((" ", "\t")):
            name = canonicalize_name(line.partition("==")[0].strip())
            keeping = not name.startswith(_OF_TORCHS_BUILD) and (torch or name != "torch")
        if keeping:
            kept.append(line)
    return "".join(kept)


def _is_torch(line: str) -> bool:
    return canonicalize_name(Requirement(line).name) == "torch"


def _head(asked: Asked) -> str:
    return f"# Made by `make lock`.\n{_DIGEST}{asked.digest()}\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m images.locks", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; 1 if the pins are out of date")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that may be")
    options = parser.parse_args(arguments)
    if not options.check:
        write(upgrade=options.upgrade)
        return 0
    found = problems()
    for problem in found:
        sys.stderr.write(problem + "\n")
    if found:
        sys.stderr.write("Run `make lock`.\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
