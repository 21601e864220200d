"""`manage.py export_end_user`: export a person by any external id, also one with a "/", which no address can hold."""

import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from users_app.audit import actor_of_command
from users_app.exporting import export_end_user
from users_app.models import EndUser
from users_app.selectors import UnknownWorkspace, end_user_by_external_id, workspace_by_slug


class Command(BaseCommand):
    help = "Write everything that is stored of an end user into a zip archive that only you can read."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--workspace", required=True, help="the workspace's slug")
        parser.add_argument("--id", required=True, metavar="EXTERNAL_ID", help="who: their id, as the client gave it")
        parser.add_argument("--out", required=True, type=Path, metavar="FILE.zip", help="a file that is not there yet")

    def handle(self, *args: Any, **options: Any) -> None:
        out: Path = options["out"]
        try:
            workspace = workspace_by_slug(options["workspace"])
        except UnknownWorkspace as error:
            raise CommandError(str(error)) from error
        end_user = end_user_by_external_id(workspace=workspace, external_id=options["id"])
        if end_user is None:
            raise CommandError(f"There is no such end user in “{workspace.slug}”.")
        try:
            descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise CommandError(f"--out: {error.strerror}: {out}") from error
        try:
            with open(descriptor, "wb") as file:
                file.writelines(export_end_user(workspace=workspace, end_user=end_user, by=actor_of_command()))
        except EndUser.DoesNotExist:
            out.unlink(missing_ok=True)
            raise CommandError("Somebody has just erased them.") from None
        except BaseException:
            # Half an archive is none.
            out.unlink(missing_ok=True)
            raise
        self.stdout.write(f"Wrote {out} ({out.stat().st_size:,} bytes).")
