"""`manage.py backup --to FOLDER`: database and objects as of one moment."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from common.backups.errors import BackupError
from common.backups.progress import Progress
from common.backups.taking import take_backup
from common.objects import ObjectStoreError

_DAMAGED_STATUS = 3
_SHOWN = 20


class Command(BaseCommand):
    help = (
        "Write a backup of the database and the object store, as of one moment, into a folder. The platform may be in "
        "use meanwhile. Exit code 0: whole; 3: whole, but the object store lacks or has damaged what rows name (it is "
        "listed); 1: there is no backup."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--to", required=True, type=Path, metavar="FOLDER", help="a folder that does not exist yet")
        parser.add_argument("--ignore-free-space", action="store_true", help="begin even where room may not suffice")

    def handle(self, *args: Any, to: Path, ignore_free_space: bool, **options: Any) -> None:
        progress = Progress(self.stdout)
        try:
            taken = take_backup(to, report=progress, ignore_free_space=ignore_free_space)
        except (BackupError, ObjectStoreError) as error:
            raise CommandError(f"{error} There is no backup in {to}.") from error
        except OSError as error:
            raise CommandError(f"{to} could not be written: {error.strerror}. There is no backup in it.") from error
        told = taken.manifest
        self.stdout.write(
            f"Backup of {told.taken_at[:19]} UTC in {to}: {told.counts.get('users_app_enduser', 0):,} users, "
            f"{told.object_count:,} objects, {told.database.size + told.object_bytes:,} bytes."
        )
        if taken.deleted:
            self.stdout.write(
                f"Adapters and the like that were deleted while it was taken, and are not in it: {len(taken.deleted)}."
            )
        if taken.damaged:
            for one in taken.damaged[:_SHOWN]:
                self.stderr.write(f"{one.prefix}: {one.why}")
            raise CommandError(
                f"The backup stands, but the object store does not have {len(taken.damaged)} of what the database "
                f"names as it should be; a restore withdraws these. Look after the object store.",
                returncode=_DAMAGED_STATUS,
            )
