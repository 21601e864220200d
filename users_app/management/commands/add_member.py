"""`manage.py add_member`: let a person see a workspace's pages."""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_slug
from django.db import transaction

from users_app.audit import actor_of_command
from users_app.members import add_member
from users_app.models import Membership
from users_app.services import ensure_workspace


class Command(BaseCommand):
    help = (
        "Make a person a member of a workspace, or change their role there. Who has no account gets one: its password "
        "alone goes to standard output, and can never be shown again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--workspace", required=True, help="the workspace's slug; made where there is none")
        parser.add_argument("--user", required=True, metavar="NAME", help="the name by which they log in")
        parser.add_argument(
            "--role", required=True, choices=Membership.Role.values,
            help="; ".join(f"{role}: {words}" for role, words in Membership.Role.choices),
        )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            validate_slug(options["workspace"])
        except ValidationError as error:
            raise CommandError(f"--workspace: {error.messages[0]}") from error
        try:
            with transaction.atomic():
                workspace, made = ensure_workspace(slug=options["workspace"])
                added = add_member(
                    workspace=workspace, username=options["user"], role=options["role"], by=actor_of_command()
                )
        except ValidationError as error:
            raise CommandError(f"--user: {error.messages[0]}") from error
        if made:
            self.stderr.write(f"Made the workspace “{workspace.slug}”.")
        self.stderr.write(f"{options['user']} is a {options['role']} of “{workspace.slug}”.")
        if added.password is not None:
            self.stderr.write(
                "Their password is shown only now; they change it under their name at the top of each page:"
            )
            self.stdout.write(added.password)
