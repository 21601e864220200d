"""Generate a license-free benchmark of synthetic users in LaMP's files, for the time-based separation.

The same arguments write the same bytes. Tells the number of questions by task and split, as JSON.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from lamp.catalogue import UnknownTask, get_task
from lamp.synthetic import DEFAULT_DRIFT, DEFAULT_MANNERS, DEFAULT_STRENGTH, SYNTHETIC_TASKS, generate
from workers.lamp_commands.arguments import at_least


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where to write a folder for each task")
    parser.add_argument("--users", type=at_least(1), required=True, metavar="N", help="users a task")
    parser.add_argument("--seed", type=at_least(0), required=True, metavar="S", help="other seeds make other users")
    parser.add_argument(
        "--tasks", type=_tasks, metavar="LIST", help=f"of {','.join(SYNTHETIC_TASKS)} (default: all of them)"
    )
    parser.add_argument(
        "--strength",
        type=_share,
        default=DEFAULT_STRENGTH,
        metavar="X",
        help="how much users' traits decide what they write, 0 to 1 (default: %(default)s)",
    )
    parser.add_argument(
        "--drift",
        type=_share,
        default=DEFAULT_DRIFT,
        metavar="D",
        help="how much users' traits change with time, 0 to 1 (default: %(default)s)",
    )
    parser.add_argument(
        "--manners",
        type=_share,
        default=DEFAULT_MANNERS,
        metavar="M",
        help="how many users have several manners of writing, half of them one after the other and half one for each "
        "subject, 0 to 1 (default: %(default)s)",
    )


def run(options: Mapping[str, Any]) -> None:
    """Raises `CommandError` where the seed is one of those that the small models are trained on."""
    try:
        counts = generate(
            options["out"],
            users=options["users"],
            seed=options["seed"],
            tasks=options["tasks"],
            strength=options["strength"],
            drift=options["drift"],
            manners=options["manners"],
        )
    except ValueError as problem:
        raise CommandError(str(problem), returncode=2) from problem
    out = options.get("stdout") or sys.stdout
    out.write(json.dumps(counts, indent=2) + "\n")


def _tasks(value: str) -> tuple[str, ...]:
    try:
        keys = tuple(dict.fromkeys(get_task(name).key for name in value.split(",")))
    except UnknownTask as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    unknown = [key for key in keys if key not in SYNTHETIC_TASKS]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"no synthetic users for {', '.join(unknown)}: choose of {', '.join(SYNTHETIC_TASKS)}"
        )
    return keys


def _share(value: str) -> float:
    try:
        share = float(value)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError("give a number from 0 to 1")
    return share
