"""Whether a backup is as it was made: every file and every object is read and compared with its digest."""

from pathlib import Path

from common.backups.errors import BackupError
from common.backups.folder import BackupFolder
from common.backups.manifest import Manifest, read_objects
from common.backups.taking import Report


def check_backup(path: Path, *, report: Report) -> Manifest:
    """Check the backup in the folder `path`; what it says of itself. Needs no server.

    Raises:
        BackupError: It is not whole, or not what was written.
    """
    backup = BackupFolder(path)
    manifest = backup.manifest()
    backup.check_file(manifest.database)
    backup.check_file(manifest.objects)
    count = done = 0
    for entry in read_objects(path / manifest.objects.name):
        backup.check_object(entry.sha256, size=entry.size)
        count += 1
        done += entry.size
        report("the digests", done, manifest.object_bytes)
    if (count, done) != (manifest.object_count, manifest.object_bytes):
        raise BackupError(f"{manifest.objects.name} in {path} does not list what the backup says it holds.")
    return manifest
