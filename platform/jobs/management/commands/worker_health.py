"""`manage.py worker_health`: whether the worker of this machine lives, for the health check of its container."""

from __future__ import annotations

import socket
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from jobs.selectors import live_workers


class Command(BaseCommand):
    help = (
        "End with 0 if a worker of this machine (in a container: of this container) has lately said that it lives, "
        "otherwise with 1."
    )
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--machine", default=socket.gethostname(), help="by default this one")

    def handle(self, *args: Any, machine: str, **options: Any) -> None:
        # Celery calls a worker NAME@MACHINE.
        if not live_workers().filter(hostname__endswith=f"@{machine}").exists():
            raise CommandError(f"No worker of {machine} has said lately that it lives.")
