"""`manage.py create_api_key`: make an API key, and print it this once."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_slug
from django.db import transaction
from django.utils import timezone

from users_app.api_keys import KeyRefused, create_api_key
from users_app.audit import actor_of_command
from users_app.models import Scope
from users_app.services import ensure_workspace


class Command(BaseCommand):
    help = "Make an API key of a workspace. The key alone goes to standard output, and can never be shown again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--workspace", required=True, help="the workspace's slug; made where there is none")
        parser.add_argument("--name", required=True, help="what uses the key, for people to tell keys apart")
        parser.add_argument(
            "--scopes", required=True, nargs="+", choices=[*Scope.values, "all"], metavar="SCOPE",
            help=f"one or more of {', '.join(Scope.values)}; or all",
        )  # fmt: skip
        parser.add_argument("--expires-in-days", type=int, metavar="N", help="default: it does not expire")
        parser.add_argument(
            "--requests-per-minute", type=int, metavar="N", help="its own rate limit (default: the installation's)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        days, rate = options["expires_in_days"], options["requests_per_minute"]
        scopes = Scope.values if "all" in options["scopes"] else options["scopes"]
        try:
            if rate is not None and rate < 1:
                raise CommandError("--requests-per-minute must be 1 or more.")
            expires_at = None if days is None else timezone.now() + timedelta(days=days)
            validate_slug(options["workspace"])
            with transaction.atomic():
                workspace, made = ensure_workspace(slug=options["workspace"])
                issued = create_api_key(
                    workspace=workspace,
                    name=options["name"],
                    scopes=scopes,
                    expires_at=expires_at,
                    requests_per_minute=rate,
                    by=actor_of_command(),
                )
        except ValidationError as error:
            raise CommandError(f"--workspace: {error.messages[0]}") from error
        except OverflowError as error:
            raise CommandError("--expires-in-days is beyond the calendar.") from error
        except KeyRefused as error:
            raise CommandError(str(error)) from error
        if made:
            self.stderr.write(f"Made the workspace “{workspace.slug}”.")
        self.stderr.write(
            f"Key {issued.key.prefix}… of “{workspace.slug}” for {', '.join(issued.key.scopes)}"
            f"{f', until {expires_at:%Y-%m-%d %H:%M} UTC' if expires_at else ''}. It is shown only now:"
        )
        self.stdout.write(issued.token)
