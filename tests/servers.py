"""The servers of one test session: started once, shared by its workers, taken down at its end.

Each session holds a folder for itself, so that two sessions in one checkout do not meet; each pytest-xdist worker has
its own database (pytest-django's doing), Redis database, bucket, and folder of what it keeps on this machine.
"""

import atexit
import os
import shutil
from pathlib import Path

from filelock import FileLock, Timeout

from embedded import stack

REPOSITORY = Path(__file__).resolve().parent.parent

# Set in the environment once it names the servers: to "main", or to the worker of pytest-xdist it was filled for.
_PREPARED = "LAMPPOST_TEST_PREPARED"

_held: FileLock | None = None


def worker() -> str | None:
    """`gw0`, `gw1`, ... in a worker of pytest-xdist, None in the process that the person started."""
    return os.environ.get("PYTEST_XDIST_WORKER")


def folder() -> Path:
    return Path(os.environ.get("LAMPPOST_TEST_VAR") or REPOSITORY / "var" / "test").absolute()


def python_path() -> str:
    """Where this process finds modules, for the processes that a test starts, wherever the checkout lies."""
    return os.pathsep.join([str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])])


def start() -> None:
    """Bring the session's servers up, empty at first, and put where they are into the environment.

    Whatever a test starts inherits that environment, changed by the test perhaps, and is left with it.
    """
    global _held
    me = worker() or "main"
    if os.environ.get(_PREPARED) == me:
        return
    if worker() is None:
        _held = _take_a_folder()
        atexit.register(_stop, os.getpid())
        stack.down(folder())
        shutil.rmtree(folder() / "s3" / "objects", ignore_errors=True)
    endpoints = stack.up(folder(), durable=False)
    number = int((worker() or "gw-1").removeprefix("gw")) + 1
    os.environ.update(
        {
            # Of its own as well: what one process has no row for in its database, it removes from this folder.
            "LAMPPOST_VAR": str(folder() / (worker() or "")),
            "DATABASE_URL": endpoints.database_url,
            "BROKER_URL": f"{endpoints.broker_url.rpartition('/')[0]}/{number}",
            "S3_ENDPOINT": endpoints.s3_endpoint,
            "S3_ACCESS_KEY": endpoints.s3_access_key,
            "S3_SECRET_KEY": endpoints.s3_secret_key,
            "S3_BUCKET": f"lamppost-test-{number}",
            _PREPARED: me,
        }
    )
    os.environ.pop("S3_PUBLIC_ENDPOINT", None)


def _stop(pid: int) -> None:
    """Take the session's servers down. A forked child that ends in the ordinary way has no business here."""
    if os.getpid() == pid:
        stack.down(folder())


def _take_a_folder() -> FileLock:
    first = folder()
    for number in range(1, 20):
        candidate = first if number == 1 else first.with_name(f"{first.name}-{number}")
        candidate.mkdir(parents=True, exist_ok=True)
        lock = FileLock(candidate / "session.lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            continue
        # Workers inherit it.
        os.environ["LAMPPOST_TEST_VAR"] = str(candidate)
        return lock
    raise RuntimeError(f"Twenty test sessions hold {first} and its neighbours. End some of them.")
