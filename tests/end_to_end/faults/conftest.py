"""One installation for all faults: what a test breaks is mended before the next."""

import os
import subprocess
from contextlib import contextmanager

import pytest

from tests.end_to_end.faults.installation import Installation
from tests.stacks import open_folder

JOBS, TRAININGS, GENERATIONS = 500, 8, 60


class SmallDisk:
    """A file system of a few megabytes, which can be filled to the last byte and emptied again."""

    BYTES = 48 * 2**20

    def __init__(self, path):
        self.path = path
        path.mkdir(parents=True, mode=0o700)
        mounting = ["mount", "-t", "tmpfs", "-o", f"size={self.BYTES},mode=0700", "tmpfs", str(path)]
        self.is_own = os.geteuid() == 0 and subprocess.run(mounting, capture_output=True).returncode == 0

    @contextmanager
    def full(self):
        if not self.is_own:
            pytest.skip("a small file system can be mounted by root alone, where the machine lets it")
        ballast = self.path / ".ballast"
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"\0" * 4096)
            except OSError:
                pass
        try:
            yield
        finally:
            ballast.unlink()

    def remove(self):
        if self.is_own:
            subprocess.run(["umount", "--lazy", str(self.path)], check=True)


@pytest.fixture(scope="package")
def disks():
    """By whom each is used: the object store for its objects, and workers for their temporary files."""
    with open_folder() as folder:
        made = {"store": SmallDisk(folder / "servers" / "s3" / "objects"), "workers": SmallDisk(folder / "temporary")}
        try:
            yield folder, made
        finally:
            for disk in made.values():
                disk.remove()


@pytest.fixture(scope="package")
def whole(disks):
    folder, made = disks
    installation = Installation(folder, temporary=made["workers"].path)
    try:
        yield installation
    finally:
        installation.end()


@pytest.fixture
def installation(whole):
    """With all of its servers, four workers and beat."""
    whole.revive()
    whole.staff()
    return whole


@pytest.fixture
def load(installation):
    """Five hundred mixed jobs, just asked for."""
    return installation.load(jobs=JOBS, trainings=TRAININGS, generations=GENERATIONS)
