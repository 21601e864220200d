"""The arguments that several subcommands of `manage.py lamp` share."""

import argparse
from collections.abc import Callable
from pathlib import Path

from lamp.catalogue import CATALOGUE, UnknownTask, get_task
from lamp.tasks import Task

SMALL = "small"
"""The name of the small models that come with the platform."""


def add_questions(parser: argparse.ArgumentParser) -> None:
    """`--task` and `--questions`."""
    parser.add_argument(
        "--task", type=_task, help=f"one of {', '.join(CATALOGUE)} (default: recognised from the questions)"
    )
    parser.add_argument("--questions", type=Path, required=True, metavar="FILE", help="a questions file of LaMP")


def add_out(parser: argparse.ArgumentParser, *, what: str) -> None:
    """`--out`."""
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help=f"where to write {what}, as JSON")


def add_encoder(parser: argparse.ArgumentParser) -> None:
    """`--encoder`."""
    parser.add_argument(
        "--encoder",
        default="facebook/contriever",
        metavar="DIR",
        help=f"for contriever: a folder or a hub name of an encoder, or {SMALL!r} (default: %(default)s)",
    )


def _task(value: str) -> Task:
    try:
        return get_task(value)
    except UnknownTask as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def at_least(lowest: int) -> Callable[[str], int]:
    """An argument's type: a whole number, `lowest` or more."""

    def number(value: str) -> int:
        if not value.isdecimal() or int(value) < lowest:
            raise argparse.ArgumentTypeError(f"give a whole number, {lowest} or more")
        return int(value)

    return number
