"""`manage.py agree_to_shared_training`: note who agrees, by any external id, also one with a "/", as imports give."""

from argparse import ArgumentParser, FileType
from collections.abc import Iterator, Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from users_app.audit import actor_of_command
from users_app.models import EndUser, Workspace
from users_app.selectors import UnknownWorkspace, end_user_by_external_id, workspace_by_slug
from users_app.shared_training import set_agreement


class Command(BaseCommand):
    help = (
        "Note that end users agree that selectors and fine-tuned encoders of their workspace learn from their data, or "
        "that they no longer do. Of people who are not known nothing is noted of anybody."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--workspace", required=True, help="the workspace's slug")
        who = parser.add_mutually_exclusive_group(required=True)
        who.add_argument("--id", action="append", metavar="EXTERNAL_ID", help="who: their id, as the client gave it")
        who.add_argument(
            "--ids", type=FileType(encoding="utf-8"), metavar="FILE", help="a file with an id a line; “-” for stdin"
        )
        parser.add_argument("--withdraw", action="store_true", help="they agree no longer")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            workspace = workspace_by_slug(options["workspace"])
        except UnknownWorkspace as error:
            raise CommandError(str(error)) from error
        people = list(_found(workspace, options["id"] or _lines(options["ids"])))
        agreed = not options["withdraw"]
        changed = 0
        for end_user in people:
            try:
                changed += set_agreement(workspace=workspace, end_user=end_user, agreed=agreed, by=actor_of_command())
            except EndUser.DoesNotExist:
                # Erased meanwhile.
                continue
        words = "agree" if agreed else "do not agree"
        self.stdout.write(f"{len(people):,} users {words}; of {changed:,} that was not so before.")


def _lines(file: Any) -> list[str]:
    with file:
        return [line.rstrip("\r\n") for line in file if line.strip()]


def _found(workspace: Workspace, ids: Sequence[str]) -> Iterator[EndUser]:
    for place, external_id in enumerate(dict.fromkeys(ids), start=1):
        end_user = end_user_by_external_id(workspace=workspace, external_id=external_id)
        if end_user is None:
            raise CommandError(f"Number {place} of them is no end user of “{workspace.slug}”. Nothing was noted.")
        yield end_user
