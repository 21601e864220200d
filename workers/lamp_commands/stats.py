"""Tell what a split holds, as Table 2 of the paper does: counts, profile sizes and lengths in words, as JSON."""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lamp.statistics import split_statistics
from workers.lamp_commands.arguments import add_questions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_questions(parser)
    parser.add_argument("--outputs", type=Path, metavar="FILE", help="the outputs file of the split")
    parser.add_argument("--separation", choices=("user", "time"), help="default: recognised from the questions")


def run(options: Mapping[str, Any]) -> None:
    """Raises `LampProblem` for what an import would refuse too."""
    told = split_statistics(
        options["questions"], options["outputs"], task=options["task"], separation=options["separation"]
    )
    out = options.get("stdout") or sys.stdout
    out.write(json.dumps(told.as_dict(), indent=2) + "\n")
