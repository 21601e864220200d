"""What the paper's Table 2 tells of a dataset: how many questions, how large the profiles, how long the texts."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from lamp.golds import Gold, golds_for_unknown_questions, questions_without_gold, read_golds
from lamp.problems import IDS_SHOWN, LampProblem
from lamp.reading import Question, Separation, read_questions
from lamp.row_ids import SeenIds
from lamp.tasks import Task
from lamp.truth import oracle_of_unknown_questions, questions_without_oracle, read_oracle


@dataclass
class Spread:
    """Mean and standard deviation (of the population) of whole numbers, without holding them."""

    count: int = 0
    total: int = 0
    squares: int = 0
    least: int = 0
    most: int = 0

    def add(self, value: int) -> None:
        self.least = min(self.least, value) if self.count else value
        self.most = max(self.most, value)
        self.count += 1
        self.total += value
        self.squares += value * value

    @property
    def mean(self) -> float:
        return self.total / self.count if self.count else math.nan

    @property
    def sd(self) -> float:
        if not self.count:
            return math.nan
        # In whole numbers, so that nothing cancels.
        return math.sqrt(self.count * self.squares - self.total * self.total) / self.count

    def as_dict(self) -> dict[str, float | int | None]:
        """Two digits, as the paper prints them; None each where there is no value, for JSON has no NaN."""
        if not self.count:
            return {"mean": None, "sd": None, "min": None, "max": None}
        return {"mean": round(self.mean, 2), "sd": round(self.sd, 2), "min": self.least, "max": self.most}


@dataclass
class SplitStatistics:
    """One split of one task. Lengths are in words: runs of non-blank characters."""

    task: Task
    separation: Separation
    questions: int = 0
    users: int = 0
    golds: int | None = None
    profile_entries: Spread = field(default_factory=Spread)
    input_words: Spread = field(default_factory=Spread)
    output_words: Spread = field(default_factory=Spread)
    ignored_fields: Mapping[str, int] = field(default_factory=dict)

    def count_question(self, question: Question) -> None:
        """Take a question into profile sizes and lengths; `questions` and `users` are the reader's to say."""
        self.profile_entries.add(len(question.profile))
        self.input_words.add(len(question.input.split()))

    def count_gold(self, gold: Gold) -> None:
        """Take a right answer into the lengths."""
        self.output_words.add(len(gold.output.split()))

    def as_dict(self) -> dict[str, Any]:
        told: dict[str, Any] = {
            "task": self.task.key,
            "separation": self.separation,
            "questions": self.questions,
            "users": self.users,
            "profile_entries": self.profile_entries.total,
            "profile_size": self.profile_entries.as_dict(),
            "input_words": self.input_words.as_dict(),
        }
        if self.golds is not None:
            told |= {"golds": self.golds, "output_words": self.output_words.as_dict()}
        if self.ignored_fields:
            told["ignored_fields"] = dict(self.ignored_fields)
        return told


def split_statistics(
    questions: str | os.PathLike[str],
    outputs: str | os.PathLike[str] | None = None,
    *,
    task: Task | None = None,
    separation: Separation | None = None,
    truth: str | os.PathLike[str] | None = None,
    split: str = "",
) -> SplitStatistics:
    """Read a questions file, and its outputs where given, and tell what they hold.

    With `truth`, what its oracle answers to the questions of `split` is checked too. Raises `LampProblem` for what an
    import would refuse: bad questions, golds or a truth of another task, answers for unknown questions or questions
    without one.
    """
    reader = read_questions(questions, task=task, separation=separation)
    told = SplitStatistics(reader.task, reader.separation)
    # Hashes of ids, so that a file of very many questions stays small in memory.
    users: set[int] = set()
    for question in reader:
        told.count_question(question)
        if question.user_id is not None:
            users.add(hash(question.user_id))
    told.questions, told.ignored_fields = reader.count, reader.ignored_fields
    told.users = len(users) if reader.separation == "time" else reader.count

    def ids() -> Iterator[str]:
        return (question.id for question in read_questions(questions, task=told.task, separation=told.separation))

    if outputs is not None:
        told.golds = _require_an_answer_each(
            _counted(read_golds(outputs, task=told.task).items, told),
            reader.ids,
            ids=ids,
            file=os.path.basename(outputs),
            unknown_problem=golds_for_unknown_questions,
            missing_problem=questions_without_gold,
        )
    if truth is not None:
        _require_an_answer_each(
            read_oracle(truth, task=told.task, split=split),
            reader.ids,
            ids=ids,
            file=os.path.basename(truth),
            unknown_problem=oracle_of_unknown_questions,
            missing_problem=questions_without_oracle,
        )
    return told


def _counted(golds: Iterable[Gold], told: SplitStatistics) -> Iterator[Gold]:
    for gold in golds:
        told.count_gold(gold)
        yield gold


def _require_an_answer_each(
    answers: Iterable[Gold],
    asked: SeenIds,
    *,
    ids: Callable[[], Iterator[str]],
    file: str,
    unknown_problem: Callable[[str, int, Sequence[str]], LampProblem],
    missing_problem: Callable[[str, int, Sequence[str]], LampProblem],
) -> int:
    """Read the answers of a file, which must be to the questions `asked` and to all of them; how many there are."""
    answered: set[int] = set()
    unknown = 0
    unknown_ids: list[str] = []
    for answer in answers:
        answered.add(hash(answer.id))
        if answer.id not in asked:
            unknown += 1
            if len(unknown_ids) < IDS_SHOWN:
                unknown_ids.append(answer.id)
    if unknown:
        raise unknown_problem(file, unknown, unknown_ids)
    if len(answered) < len(asked):
        without = (question_id for question_id in ids() if hash(question_id) not in answered)
        raise missing_problem(file, len(asked) - len(answered), list(islice(without, IDS_SHOWN)))
    return len(answered)
