"""Runs of many users with scores that are told, as no model has to be asked for them."""

from collections.abc import Sequence

from django.db import connection

from eval_app.improvement import direction_of
from eval_app.methods import parse_method
from eval_app.models import DatasetSplit, Prediction, Question, Run, UserImprovement
from tests import people
from users_app.models import EndUser, Workspace


def crowd(workspace: Workspace, number: int, *, input: str = "what now", gold: str = "red roses") -> DatasetSplit:
    """A split in which so many users ask one question each; their profiles have 0, 1, 2, … documents."""
    users = EndUser.objects.bulk_create(
        EndUser(workspace=workspace, external_id=f"crowd/{at:05}") for at in range(number)
    )
    split = people.split_of([people.Asked(users[0], input, gold, [])], dataset="crowd")
    Question.objects.bulk_create(
        Question(
            split=split,
            end_user=user,
            position=at,
            external_id=f"q{at}",
            input=input,
            gold=gold,
            document_ids=[],
            entry_ids=[],
        )
        for at, user in enumerate(users[1:], start=1)
    )
    return split


def answered(split: DatasetSplit, method: str, scores: Sequence[float]) -> Run:
    """A run that is done, whose answers scored so in the task's first metric, in the order of the questions."""
    run = a_done_run(split, method)
    questions = Question.objects.filter(split=split).order_by("position")
    Prediction.objects.bulk_create(
        Prediction(
            run=run,
            question=question,
            end_user_id=question.end_user_id,
            output=f"answer {at}",
            prompt="the prompt",
            scores={"rouge-1": score, "rouge-L": score},
        )
        for at, (question, score) in enumerate(zip(questions, scores, strict=True))
    )
    return run


def compared(run: Run, baseline: Run, pairs: Sequence[tuple[float, float]]) -> None:
    """Improvement records of the split's users in order: (baseline's score, the run's), and profiles of 0, 1, 2, …"""
    users = Question.objects.filter(split=run.split_id).order_by("position").values_list("end_user_id", flat=True)
    UserImprovement.objects.bulk_create(
        UserImprovement(
            run=run,
            baseline=baseline,
            end_user_id=user,
            metric="rouge-1",
            profile_size=at,
            question_count=1,
            score=after,
            baseline_score=before,
            direction=int(direction_of(before, after, higher_is_better=True)),
        )
        for at, (user, (before, after)) in enumerate(zip(users, pairs, strict=False))
    )


def indexes_used(rows) -> set[str]:
    """The indexes by which PostgreSQL would read `rows` where it must not read whole tables nor sort."""
    with connection.cursor() as cursor:
        for setting in ("enable_seqscan", "enable_sort", "enable_bitmapscan"):
            cursor.execute(f"SET LOCAL {setting} = off")
        sql, params = rows.query.sql_with_params()
        cursor.execute(f"EXPLAIN {sql}", params)
        plan = [line for (line,) in cursor.fetchall()]
    assert not any("Sort" in line or "Seq Scan" in line for line in plan), "\n".join(plan)
    return {line.split(" using ")[1].split()[0] for line in plan if " using " in line}


def a_done_run(split: DatasetSplit, method: str) -> Run:
    """One without an answer."""
    parsed = parse_method(method)
    return Run.objects.create(
        workspace=split.dataset.workspace,
        split=split,
        identity=f"{method} of {split.pk}",
        family=parsed.family.value,
        retriever=parsed.retriever or "",
        rank=parsed.rank,
        question_count=split.question_count,
        state=Run.State.DONE,
        metrics={},
    )
