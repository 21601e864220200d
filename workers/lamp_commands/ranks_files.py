"""Reading a file of ranks, as `lamp rank` or somebody else's retriever writes it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ijson

from lamp.problems import LampProblem, shown_id
from lamp.reading import Question
from lamp.tasks import Task
from workers.lamp_commands.rankers import Ranker

_FORM = "Give a file as `manage.py lamp rank` writes it: {question id: [profile ids, best first]}"


def read_ranks(file: str) -> Ranker:
    """A ranker that follows the file; ids are compared as texts, and a list may name only the first documents.

    Raises `LampProblem` for a file of another form, and then, at the question, for ranks that are missing, that name an
    unknown profile entry, or one twice. Ranks of other questions are passed over: a file may serve several splits.
    """
    name = Path(file).name
    # A question's list is kept as its JSON: a tenth of what the objects take, and millions of ids stay small.
    ranks: dict[str, str] = {}
    for question_id, ids in _members(file, name):
        if question_id in ranks:
            raise LampProblem(file=name, question_id=question_id, message="is there twice", remedy="Leave one out")
        if not isinstance(ids, list) or not all(type(entry_id) in (str, int) for entry_id in ids):
            raise LampProblem(file=name, question_id=question_id, message="is not a list of profile ids", remedy=_FORM)
        ranks[question_id] = json.dumps([str(entry_id) for entry_id in ids], separators=(",", ":"))

    def by_file(_: Task, question: Question) -> list[int]:
        if question.id not in ranks:
            raise LampProblem(
                file=name,
                question_id=question.id,
                message="has no ranks",
                remedy="Rank the same questions file, and give that one's ranks",
            )
        return _positions(question, json.loads(ranks[question.id]), name)

    return by_file


def _positions(question: Question, ids: list[str], name: str) -> list[int]:
    """The profile positions of `ids`. Entries that share an id must be equal, and are taken in profile order."""
    holders: dict[str, list[int]] = {}
    for position in reversed(range(len(question.profile))):
        holders.setdefault(question.profile[position].entry_id, []).append(position)
    positions = []
    for entry_id in ids:
        held = holders.get(entry_id)
        if held is None:
            message = f"names {shown_id(entry_id)}, which is no entry of the question's profile"
            raise _wrong_rank(name, question, message)
        if not held:
            raise _wrong_rank(name, question, f"names {shown_id(entry_id)} more often than the profile has it")
        positions.append(held.pop())
        if held and question.profile[held[-1]].fields != question.profile[positions[-1]].fields:
            raise _wrong_rank(
                name, question, f"names {shown_id(entry_id)}, which two different entries have as their id"
            )
    return positions


def _wrong_rank(name: str, question: Question, message: str) -> LampProblem:
    return LampProblem(
        file=name,
        question_id=question.id,
        message=message,
        remedy="Rank the same questions file, and give that one's ranks",
    )


def _members(file: str, name: str) -> Iterator[tuple[str, Any]]:
    with Path(file).open("rb") as stream:
        try:
            if next(iter(ijson.basic_parse(stream)), (None, None))[0] != "start_map":
                raise LampProblem(file=name, message="holds no JSON object", remedy=_FORM)
            stream.seek(0)
            yield from ijson.kvitems(stream, "")
        except (ijson.JSONError, UnicodeDecodeError) as error:
            reason = str(error).partition("\n")[0]
            raise LampProblem(file=name, message=f"is not JSON ({reason})", remedy=_FORM) from error
