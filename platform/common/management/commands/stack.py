"""`manage.py stack up | down | status`: the embedded servers by hand."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from embedded import defaults, stack
from embedded.errors import StackError


class Command(BaseCommand):
    help = (
        "Start, stop or show the embedded PostgreSQL, Redis and S3 server, whose data is in var/. Servers named by "
        "DATABASE_URL, BROKER_URL or S3_ENDPOINT are yours and left alone."
    )
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="up | down | status")
        actions.add_parser("up", help="start what does not run, healing what kills have left")
        down = actions.add_parser("down", help="stop all, leaving no process; the data stays")
        down.add_argument("--erase", action="store_true", help="remove all of the servers' data as well")
        actions.add_parser("status", help="show what runs; exit code 1 unless all of it does")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        root: Path = settings.VAR_DIR
        try:
            if action == "up":
                self._up(root)
            elif action == "down":
                self._down(root, erase=options["erase"])
            else:
                self._status(root)
        except StackError as error:
            raise CommandError(str(error)) from error

    def _up(self, root: Path) -> None:
        stack.up(root, only=defaults.wanted())
        self._print(root)

    def _down(self, root: Path, *, erase: bool) -> None:
        stopped = stack.down(root)
        self.stdout.write(f"Stopped {', '.join(stopped)}." if stopped else "Nothing was running.")
        if erase:
            # Tests keep stacks of their own below, which a killed session leaves behind.
            for place in (root, *(lock.parent for lock in root.glob("*/stack.lock"))):
                stack.erase(place)
            self.stdout.write(f"Removed the servers' data from {root}.")

    def _status(self, root: Path) -> None:
        if not self._print(root):
            raise SystemExit(1)

    def _print(self, root: Path) -> bool:
        """Show each server; True if all that are ours to run do."""
        wanted = defaults.wanted()
        variables = {server: variable for variable, server in defaults.VARIABLES.items()}
        well = True
        for server in stack.status(root):
            if server.name not in wanted:
                self.stdout.write(f"{server.title:<13} outside     by {variables[server.name]}")
                continue
            well = well and server.running
            process = f"process {server.pid}" if server.pid else ""
            self.stdout.write(f"{server.title:<13} {server.detail:<11} {server.address:<16} {process}".rstrip())
        self.stdout.write(f"Data and logs: {root}")
        return well
