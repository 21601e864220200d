"""`manage.py shared_training`: whose data models that serve a whole workspace may learn from."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from users_app.audit import actor_of_command
from users_app.models import EndUser, SharedTraining
from users_app.selectors import UnknownWorkspace, workspace_by_slug
from users_app.shared_training import may_learn_from, set_shared_training


class Command(BaseCommand):
    help = "Say whose data selectors and fine-tuned encoders may learn from, if told; then show it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--workspace", required=True, help="the workspace's slug")
        told = ", ".join(f"“{policy}”: {policy.label}" for policy in SharedTraining)
        parser.add_argument("policy", nargs="?", choices=SharedTraining.values, help=told)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            workspace = workspace_by_slug(options["workspace"])
        except UnknownWorkspace as error:
            raise CommandError(str(error)) from error
        if options["policy"] is not None:
            set_shared_training(workspace=workspace, policy=options["policy"], by=actor_of_command())
        allowed = may_learn_from(workspace=workspace).count()
        everybody = EndUser.objects.filter(workspace=workspace).count()
        label = SharedTraining(workspace.shared_training).label
        self.stdout.write(f"{workspace.shared_training}: {label}; {allowed:,} of {everybody:,} users")
