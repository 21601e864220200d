"""Looking at the files of a split without importing them: what they hold, the first of it, and all that is wrong."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from lamp.golds import read_golds
from lamp.problems import LampProblem
from lamp.reading import Question, Questions, Separation, read_questions
from lamp.statistics import SplitStatistics
from lamp.tasks import Task
from lamp.truth import oracle_of_unknown_questions, questions_without_oracle, read_oracle

MOST_PROBLEMS: Final = 10_000
SAMPLES: Final = 3
_QUESTIONS_A_REPORT: Final = 50

Report = Callable[[int, int, str], None]
"""Told now and then: bytes read, bytes in all, what is being done. May raise to stop."""


class TooManyProblems(Exception):
    """There are more than anybody reads."""


@dataclass(frozen=True)
class Sample:
    """One of the first questions, and its right answer if there is one."""

    question: Question
    gold: str | None = None


@dataclass
class Examination:
    """What was found. Where reading stopped before the end, `complete` is False and the statistics are of the part
    that was read; without any, not even the task was recognised.
    """

    statistics: SplitStatistics | None = None
    samples: list[Sample] = field(default_factory=list)
    problems: list[LampProblem] = field(default_factory=list)
    complete: bool = True

    def add(self, problem: LampProblem) -> None:
        """Note a problem. Raises `TooManyProblems` at the last that has room."""
        self.problems.append(problem)
        if len(self.problems) >= MOST_PROBLEMS:
            raise TooManyProblems


@dataclass(frozen=True)
class NamedFile:
    """A file, and what messages call it."""

    path: str | os.PathLike[str]
    name: str


def examine_split(
    questions: NamedFile,
    outputs: NamedFile | None = None,
    *,
    truth: NamedFile | None = None,
    split: str,
    task: Task | None = None,
    separation: Separation | None = None,
    report: Report = lambda done, total, doing: None,
) -> Examination:
    """Read the files as an import would, but go on where a row is wrong.

    Of each row the first problem is told, and at most `MOST_PROBLEMS` of them; of a file that is broken in its form
    nothing can be read behind the break. Where there is no problem an import takes the files, unless the workspace has
    no room for them.
    """
    found = Examination()
    try:
        reader = read_questions(
            questions.path, task=task, separation=separation, name=questions.name, on_problem=found.add
        )
        found.statistics = SplitStatistics(reader.task, reader.separation)
        _read_questions(reader, found, report)
        if outputs is not None:
            _read_golds(outputs, questions, reader, found)
        if truth is not None:
            _read_truth(truth, reader, found, split)
    except LampProblem as problem:
        found.complete = False
        found.problems.append(problem)
    except TooManyProblems:
        found.complete = False
    return found


def _read_questions(reader: Questions, found: Examination, report: Report) -> None:
    told = found.statistics
    assert told is not None
    # Hashes of ids, so that a file of very many questions stays small in memory.
    users: set[int] = set()
    try:
        for number, question in enumerate(reader):
            told.count_question(question)
            if len(found.samples) < SAMPLES:
                found.samples.append(Sample(question))
            if question.user_id is not None:
                users.add(hash(question.user_id))
            if number % _QUESTIONS_A_REPORT == 0:
                report(reader.bytes_read, reader.size, f"checking: {number + 1:,} questions")
    finally:
        reader.close()
        told.questions, told.ignored_fields = reader.count, reader.ignored_fields
        told.users = len(users) if reader.separation == "time" else told.profile_entries.count


def _read_golds(outputs: NamedFile, questions: NamedFile, reader: Questions, found: Examination) -> None:
    told = found.statistics
    assert told is not None
    golds = read_golds(outputs.path, task=told.task, name=outputs.name, on_problem=found.add)
    told.golds = 0
    wanted = {sample.question.id: at for at, sample in enumerate(found.samples)}
    answered: set[int] = set()
    for gold in golds.items:
        told.golds += 1
        told.count_gold(gold)
        at = wanted.get(gold.id)
        if at is not None:
            found.samples[at] = Sample(found.samples[at].question, gold.output)
        if gold.id in reader.ids:
            answered.add(hash(gold.id))
        else:
            found.add(_unknown(outputs.name, gold.id))
    # One whose answer is wrong has one.
    wrong = {hash(problem.question_id) for problem in found.problems if problem.file == outputs.name}
    if len(answered) < len(reader.ids):
        for question_id in _ids(questions, reader):
            if hash(question_id) not in answered and hash(question_id) not in wrong:
                found.add(_unanswered(outputs.name, question_id))


def _read_truth(truth: NamedFile, reader: Questions, found: Examination, split: str) -> None:
    told = found.statistics
    assert told is not None
    answered: set[int] = set()
    for answer in read_oracle(truth.path, task=told.task, split=split, name=truth.name):
        if answer.id in reader.ids:
            answered.add(hash(answer.id))
        else:
            found.add(oracle_of_unknown_questions(truth.name, 1, [answer.id]))
    if len(answered) < len(reader.ids):
        found.add(questions_without_oracle(truth.name, len(reader.ids) - len(answered), []))


def _ids(questions: NamedFile, read: Questions) -> Iterator[str]:
    """The ids of the file's whole questions, again."""
    again = read_questions(
        questions.path, task=read.task, separation=read.separation, name=questions.name, on_problem=lambda _: None
    )
    return (question.id for question in again)


def _unknown(file: str, question_id: str) -> LampProblem:
    return LampProblem(
        file=file,
        question_id=question_id,
        field="id",
        message="is the gold of no question in the questions file",
        remedy="Give the outputs that belong to these questions",
    )


def _unanswered(file: str, question_id: str) -> LampProblem:
    return LampProblem(
        file=file,
        question_id=question_id,
        field="id",
        message="there is no gold for this question",
        remedy="Give the outputs of all questions, or none at all",
    )
