"""`manage.py erase_end_user`: erase a person by any external id, also one with a "/", which no address can hold."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from users_app.audit import actor_of_command
from users_app.erasure import erase_end_user
from users_app.models import EndUser
from users_app.selectors import UnknownWorkspace, end_user_by_external_id, workspace_by_slug


class Command(BaseCommand):
    help = "Erase an end user: everything that is known of them, and what was learned from it. It cannot be undone."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--workspace", required=True, help="the workspace's slug")
        parser.add_argument("--id", required=True, metavar="EXTERNAL_ID", help="who: their id, as the client gave it")
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            workspace = workspace_by_slug(options["workspace"])
        except UnknownWorkspace as error:
            raise CommandError(str(error)) from error
        end_user = end_user_by_external_id(workspace=workspace, external_id=options["id"])
        if end_user is None:
            raise CommandError(f"There is no such end user in “{workspace.slug}”.")
        if not options["yes"] and input(f"Erase “{options['id']}” of “{workspace.slug}” for good? [yes/no] ") != "yes":
            raise CommandError("Nothing was erased.")
        try:
            receipt = erase_end_user(workspace=workspace, end_user=end_user, by=actor_of_command())
        except EndUser.DoesNotExist:
            raise CommandError("Somebody else has just erased them.") from None
        removed = ", ".join(f"{number} {kind}" for kind, number in receipt.removed.items())
        self.stdout.write(f"Erased. Receipt {receipt.pk}: {removed}.")
        if receipt.finished_at is None:
            self.stdout.write("The object store is away: their files go as soon as it is back.")
