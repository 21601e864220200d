"""Order each question's profile by a retriever: {question id: [profile ids, best first]}."""

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from lamp.json_objects import write_json_object
from lamp.reading import read_questions
from workers.lamp_commands.arguments import add_encoder, add_out, add_questions
from workers.lamp_commands.rankers import RETRIEVERS, make_ranker


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_questions(parser)
    parser.add_argument("--retriever", choices=RETRIEVERS, required=True)
    add_encoder(parser)
    add_out(parser, what="the ranks")


def run(options: Mapping[str, Any]) -> None:
    path = options["questions"]
    questions = read_questions(path, task=options["task"])
    rank = make_ranker(options["retriever"], encoder=options["encoder"], questions=path)

    def ranks() -> Iterator[tuple[str, list[str | int]]]:
        for question in questions:
            ids = [entry.file_id for entry in question.profile]
            yield question.id, [ids[position] for position in rank(questions.task, question)]

    write_json_object(options["out"], ranks())
