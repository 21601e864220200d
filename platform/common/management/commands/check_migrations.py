"""`manage.py check_migrations`: refuses new migrations that are unsafe while two versions run."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db.migrations.loader import MigrationLoader

from common.migration_checks.checking import unsafe_migrations
from common.migration_checks.squawk import SquawkMissing
from common.migration_checks.unreleased import UnknownRelease, newest_migrations


class Command(BaseCommand):
    help = (
        "Refuse migrations, of those that no release has yet, that the version before could not live with or that "
        "would lock a table for long. Exit code 0: none. Nothing is executed."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--newest",
            action="store_true",
            help="print what RELEASED_MIGRATIONS is to be when the present state is released, and check nothing",
        )

    def handle(self, *args: Any, newest: bool, **options: Any) -> None:
        loader = MigrationLoader(None)
        if newest:
            for label, name in newest_migrations(loader).items():
                self.stdout.write(f'    "{label}": "{name}",')
            return
        checked = refused = 0
        try:
            for migration, findings in unsafe_migrations(loader, released=settings.RELEASED_MIGRATIONS):
                checked += 1
                refused += bool(findings)
                for finding in findings:
                    self.stderr.write(f"{migration.app_label}.{migration.name}: {finding}")
        except (SquawkMissing, UnknownRelease) as error:
            raise CommandError(str(error)) from error
        if refused:
            raise CommandError(
                f"{refused} of {checked} new migrations are unsafe while two versions run. docs/operations.md, "
                f"“Two versions at once”, says how to change them."
            )
        self.stdout.write(f"New migrations: {checked}, none of them unsafe.")
