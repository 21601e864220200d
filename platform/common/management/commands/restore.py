"""`manage.py restore --from FOLDER`: a backup into an empty installation; with `--verify` it is only checked."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from common.backups.checking import check_backup
from common.backups.errors import BackupError
from common.backups.progress import Progress
from common.backups.restoring import Restored, restore_backup
from common.objects import ObjectStoreError


class Command(BaseCommand):
    help = (
        "Restore a backup into an empty database and an empty bucket, before web, workers and beat are started. All "
        "digests are checked before anything is written."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--from", required=True, type=Path, metavar="FOLDER", dest="source", help="the backup")
        parser.add_argument("--verify", action="store_true", help="check the backup and end; needs no server")

    def handle(self, *args: Any, source: Path, verify: bool, **options: Any) -> None:
        progress = Progress(self.stdout)
        try:
            if verify:
                told = check_backup(source, report=progress)
                self.stdout.write(
                    f"The backup of {told.taken_at[:19]} UTC in {source} is whole: {told.object_count:,} objects, "
                    f"{told.database.size + told.object_bytes:,} bytes, Lamppost {told.lamppost}."
                )
                return
            restored = restore_backup(source, report=progress)
        except (BackupError, ObjectStoreError) as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"{error.filename or source} could not be read: {error.strerror}.") from error
        self._tell(restored)

    def _tell(self, restored: Restored) -> None:
        told = restored.manifest
        write, moment = self.stdout.write, told.taken_at[:19]
        write(f"Restored what stood at {moment} UTC: {told.object_count:,} objects, and among others these rows:")
        for table in ("users_app_workspace", "users_app_enduser", "users_app_document", "training_app_adapter"):
            write(f"  {table} {told.counts.get(table, 0):,}")
        for note in restored.notes:
            write(note)
        if restored.withdrawn:
            write(
                f"Withdrawn, since their files are not in the backup: {restored.withdrawn} (adapters, trained models)."
            )
        if not restored.same_secret_key:
            self.stderr.write(
                "SECRET_KEY is another than the backup's: webhooks are signed with other secrets now, and receivers "
                "refuse them. Set SECRET_KEY to the old one (or add it to SECRET_KEY_FALLBACKS), or hand out new ones."
            )
        write(
            f"Whoever was erased after {moment} UTC is back: erase them again now, before anything is started "
            f"(manage.py erase_end_user)."
        )
