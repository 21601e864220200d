import pytest

from eval_app.improvement import (
    DifferentQuestions,
    Direction,
    WinTieLoss,
    direction_of,
    relative_gain,
    user_improvements,
    win_tie_loss,
)
from tests.eval_app.runs import answers, run


@pytest.mark.parametrize(
    ("baseline", "personalized", "higher_is_better", "direction"),
    [
        (0.2, 0.4, True, Direction.BETTER),
        (0.4, 0.2, True, Direction.WORSE),
        (0.2, 0.4, False, Direction.WORSE),
        (0.4, 0.2, False, Direction.BETTER),
        (0.3, 0.3, True, Direction.SAME),
        (0.3, 0.3, False, Direction.SAME),
        (0.3, 0.1 + 0.2, True, Direction.SAME),  # equal but for rounding
    ],
)
def test_direction_follows_the_metric(baseline, personalized, higher_is_better, direction):
    assert direction_of(baseline, personalized, higher_is_better=higher_is_better) is direction


@pytest.mark.parametrize(
    ("value", "baseline", "higher_is_better", "gain"),
    [
        (0.6, 0.5, True, 0.2),
        (0.4, 0.5, True, -0.2),
        (0.4, 0.5, False, 0.2),
        (0.6, 0.5, False, -0.2),
        (0.5, 0.0, True, None),
    ],
)
def test_relative_gain_is_positive_where_better(value, baseline, higher_is_better, gain):
    assert relative_gain(value, baseline, higher_is_better=higher_is_better) == pytest.approx(gain)


def test_every_user_is_compared_by_the_mean_over_their_questions():
    golds, users = ["[1]"] * 5, ["ann", "ann", "bob", "cat", "cat"]
    none = answers("LaMP-1", golds, ["[1]", "[2]", "[1]", "[1]", "[2]"], users)
    rag = answers("LaMP-1", golds, ["[1]", "[1]", "[2]", "[2]", "[1]"], users)
    found = user_improvements(none, rag)
    assert [(one.end_user, one.questions, one.baseline, one.personalized) for one in found] == [
        ("ann", 2, 0.5, 1.0),
        ("bob", 1, 1.0, 0.0),
        ("cat", 2, 0.5, 0.5),
    ]
    assert [(one.gain, int(one.direction)) for one in found] == [(0.5, 1), (-1.0, -1), (0.0, 0)]
    assert win_tie_loss(found) == WinTieLoss(wins=1, ties=1, losses=1)


def test_a_smaller_error_is_an_improvement():
    golds = ["5", "1"]
    found = user_improvements(answers("LaMP-3", golds, ["3", "1"]), answers("LaMP-3", golds, ["4", "2"]))
    assert [(one.gain, int(one.direction)) for one in found] == [(1.0, 1), (-1.0, -1)]


def test_the_primary_metric_decides():
    golds = ["a b c"]
    # The same words in another order: ROUGE-1 stays, ROUGE-L falls.
    found = user_improvements(answers("LaMP-4", golds, ["a b c"]), answers("LaMP-4", golds, ["c b a"]))
    assert [one.direction for one in found] == [Direction.SAME]


@pytest.mark.parametrize(
    "other",
    [
        run("LaMP-1", [("q0", "u0", "[1]", "[1]")]),
        run("LaMP-1", [("q0", "u0", "[1]", "[1]"), ("q1", "u0", "[1]", "[1]")]),
        run("LaMP-2", [("q0", "u0", "comedy", "comedy"), ("q1", "u1", "comedy", "comedy")]),
    ],
    ids=["fewer questions", "another user's", "another task"],
)
def test_runs_over_other_questions_are_not_paired(other):
    with pytest.raises(DifferentQuestions):
        user_improvements(answers("LaMP-1", ["[1]", "[1]"], ["[1]", "[1]"]), other)
