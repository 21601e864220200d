"""`manage.py gpu_smoke`: one small job through the queue on a GPU, from end to end (`make gpu-smoke`)."""

import os
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from common.schema import bring_up_to_date
from embedded import defaults, stack
from jobs.local import WorkersDidNotStart
from jobs.waiting import NoLiveWorker, TookTooLong


class Command(BaseCommand):
    help = "Train an adapter and generate with it through the queue on a GPU, and check the result in plain peft."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--device", default="cuda", help='"cuda" (default), "cuda:1" …, or "cpu"')

    def handle(self, *args: Any, device: str, **options: Any) -> None:
        # Here, because it brings torch, which `manage.py help` should not wait for.
        from workers import gpu_smoke

        try:
            missing = gpu_smoke.missing_device(device)
            if missing is not None:
                raise CommandError(missing, returncode=2)
            bring_up_to_date()
            report = gpu_smoke.run(device=device, say=self._say)
        except (gpu_smoke.SmokeFailed, NoLiveWorker, TookTooLong, WorkersDidNotStart) as problem:
            raise CommandError(str(problem)) from None
        finally:
            if os.environ.get(defaults.STARTED_HERE):
                stack.down(settings.VAR_DIR)
        for line in report.lines():
            self._say(line)
        self._say(f"An adapter was trained, served and read by plain peft on {device}.")

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()
