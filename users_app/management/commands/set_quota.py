"""`manage.py set_quota`: what a workspace may have, and what it has."""

from argparse import ArgumentParser, ArgumentTypeError
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError

from users_app.audit import actor_of_command
from users_app.models import Quota
from users_app.quotas import set_quotas, standings
from users_app.selectors import UnknownWorkspace, workspace_by_slug

_DEFAULT: Final = "default"
_MOST: Final = 2**63 - 1


class Command(BaseCommand):
    help = "Set quotas of a workspace; those that are not named stay. Then, or without any, show all and what is used."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--workspace", required=True, help="the workspace's slug")
        for quota in Quota:
            parser.add_argument(
                f"--{quota.replace('_', '-')}",
                dest=str(quota),
                type=_limit,
                metavar="N",
                help=f"{quota.label}; “{_DEFAULT}”: as the installation has it",
            )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            workspace = workspace_by_slug(options["workspace"])
        except UnknownWorkspace as error:
            raise CommandError(str(error)) from error
        limits = {
            quota: None if options[quota] == _DEFAULT else options[quota]
            for quota in Quota
            if options[quota] is not None
        }
        if limits:
            set_quotas(workspace=workspace, limits=limits, by=actor_of_command())
        for one in standings(workspace=workspace):
            limit = "no limit" if one.limit is None else f"limit {one.limit:,}"
            self.stdout.write(f"{one.quota.label}: {one.used:,} used, {limit}")


def _limit(text: str) -> int | str:
    """A whole number that the column holds, or “default”."""
    if text == _DEFAULT:
        return text
    if not text.isdecimal() or len(text) > 19 or int(text) > _MOST:
        raise ArgumentTypeError(f"neither a whole number of 0 or more nor “{_DEFAULT}”")
    return int(text)
