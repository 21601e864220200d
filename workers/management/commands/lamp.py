"""`manage.py lamp`: LaMP's files in, files out. Opens no connection to any server."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from lamp.catalogue import UnknownTask
from lamp.problems import LampProblem
from workers.lamp_commands import subcommands


class Command(BaseCommand):
    help = "Works on LaMP's files: ranks, prompts, training pairs, scores, comparisons and statistics. Needs no server."
    # What these check (database, queue ...) isn't used here.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        choices = parser.add_subparsers(dest="subcommand", metavar="subcommand", required=True)
        for name, module in subcommands().items():
            summary = (module.__doc__ or "").partition("\n")[0]
            module.add_arguments(choices.add_parser(name, help=summary, description=module.__doc__))

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            subcommands()[options["subcommand"]].run(options | {"stdout": self.stdout})
        except (LampProblem, UnknownTask) as problem:
            raise CommandError(str(problem), returncode=2) from problem
        except OSError as problem:
            where = f"{problem.filename}: " if problem.filename else ""
            raise CommandError(f"{where}{problem.strerror or problem}", returncode=2) from problem
