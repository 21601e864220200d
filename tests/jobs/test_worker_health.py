"""The command by which a container's health check learns whether its worker lives."""

import socket
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from jobs import nodes
from jobs.models import Worker

pytestmark = pytest.mark.django_db


def beats(name):
    nodes.beat(nodes.Node(queues=("cpu",), concurrency=1, hostname=name))


def test_a_worker_of_this_machine_that_beats_is_well():
    beats(f"worker@{socket.gethostname()}")
    call_command("worker_health")


def test_one_of_another_machine_says_nothing_of_this_one():
    beats("worker@elsewhere")
    with pytest.raises(CommandError, match="No worker of"):
        call_command("worker_health")


def test_one_that_fell_silent_is_not_well():
    beats("worker@elsewhere")
    Worker.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=5))
    with pytest.raises(CommandError):
        call_command("worker_health", machine="elsewhere")
