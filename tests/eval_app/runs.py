"""Small runs with known scores, for the tests of what is made of them."""

from eval_app.scoring import RunScores, Sample, score_run
from lamp.catalogue import get_task


def run(task_key, rows) -> RunScores:
    """A scored run from rows of (question id, end user, prediction, gold)."""
    return score_run(get_task(task_key), [Sample(*row) for row in rows])


def answers(task_key, golds, predictions, users=None) -> RunScores:
    """A scored run whose questions are q0, q1, … and, unless told otherwise, each their own user."""
    users = users or [f"u{at}" for at in range(len(golds))]
    rows = [
        (f"q{at}", user, prediction, gold)
        for at, (user, prediction, gold) in enumerate(zip(users, predictions, golds, strict=True))
    ]
    return run(task_key, rows)
