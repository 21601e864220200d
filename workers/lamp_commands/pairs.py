"""Make the training pairs of each question's profile: {question id: [{"input", "output"}, …]} in profile order."""

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from lamp.json_objects import write_json_object
from lamp.pairs import pair_of
from lamp.reading import read_questions
from workers.lamp_commands.arguments import add_out, add_questions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_questions(parser)
    add_out(parser, what="the pairs")


def run(options: Mapping[str, Any]) -> None:
    questions = read_questions(options["questions"], task=options["task"])

    def pairs() -> Iterator[tuple[str, list[dict[str, str]]]]:
        for question in questions:
            yield question.id, [pair_of(questions.task, entry.fields)._asdict() for entry in question.profile]

    write_json_object(options["out"], pairs())
