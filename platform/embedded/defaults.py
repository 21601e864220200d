"""Which servers are ours to run: those that the environment does not name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from embedded import stack

# The variable that points at a server of one's own, and the embedded server that it replaces.
VARIABLES = {"DATABASE_URL": "postgres", "BROKER_URL": "redis", "S3_ENDPOINT": "s3"}

# Set by manage.py where the servers were brought up for the command that is about to run.
STARTED_HERE = "LAMPPOST_SERVERS_STARTED_HERE"


def wanted(environment: Mapping[str, str] = os.environ) -> frozenset[str]:
    """Names of the embedded servers that stand in for what `environment` does not point at."""
    return frozenset(
        server
        for variable, server in VARIABLES.items()
        # Every setting may stand in a file that the environment names.
        if not (environment.get(variable) or environment.get(f"{variable}_FILE"))
    )


def ensure(root: Path) -> bool:
    """Bring up what is wanted, with its data under `root`. True if nothing of it ran before.

    Raises:
        StackError: It cannot be had.
    """
    servers = wanted()
    if not servers:
        return False
    idle = not any(server.pid for server in stack.status(root))
    stack.up(root, only=servers)
    return idle
