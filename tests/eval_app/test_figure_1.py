import pytest

from eval_app.layout import figure_1_line
from eval_app.regression import UserPoint, regress
from eval_app.reports import experiment_table
from eval_app.table import table_as_json
from tests.eval_app.stored import answered_run, ended
from tests.people import Asked, person, split_of, tweets_of

QUESTION = "What is the score of the following review? review: "
SIZES = (1, 2, 3, 4, 5, 6)
# Of six users with one to six documents: who has 4 or more becomes better, the smallest worse, others stay.
NONE = ["1", "3", "3", "1", "1", "1"]
HELPED = ["5", "3", "3", "3", "3", "3"]
UNHELPED = ["1", "3", "5", "1", "1", "1"]
CHANGED = [UserPoint(1, -1), UserPoint(4, 1), UserPoint(5, 1), UserPoint(6, 1)]


@pytest.fixture
def split(workspace):
    asked = []
    for size in SIZES:
        user = person(workspace, f"user-{size}", [{"text": f"{size} {at}"} for at in range(size)])
        gold = "2" if size == 1 else "3"
        asked.append(Asked(user, QUESTION + "fine", gold, tweets_of(user)))
    return split_of(asked, task="LaMP-3", has_dates=False)


def lines(experiment):
    return table_as_json(experiment_table(experiment=experiment))["figure_1"]


@pytest.fixture
def experiment(split):
    return ended(
        split,
        {
            "none": answered_run(split, NONE),
            "rag:bm25": answered_run(split, UNHELPED, method="rag:bm25"),
            "peft:8": answered_run(split, HELPED, method="peft:8"),
            "peft:16": answered_run(split, UNHELPED, method="peft:16"),
        },
    )


def test_a_line_goes_through_the_users_whose_score_changed(experiment):
    expected = regress(CHANGED)
    found = lines(experiment)["peft"]["LaMP-3"]
    assert (found["n"], found["slope"]) == (4, pytest.approx(expected.slope))
    assert found["interval"] == pytest.approx(list(expected.slope_interval))
    assert found["p_value"] == pytest.approx(expected.p_value)


def test_it_is_drawn_for_the_familys_best_column_by_the_first_metric(experiment):
    assert lines(experiment)["peft"]["LaMP-3"]["n"] == 4


def test_the_line_over_all_tasks_holds_the_users_of_each(experiment):
    assert lines(experiment)["peft"]["all"] == lines(experiment)["peft"]["LaMP-3"]


def test_where_too_few_users_changed_there_is_no_line(experiment):
    assert lines(experiment)["rag"] == {"LaMP-3": None, "all": None}


def test_a_control_draws_no_line(split):
    control = answered_run(split, HELPED, method="peft:8@swapped")
    own = answered_run(split, UNHELPED, method="peft:8")
    columns = {"none": answered_run(split, NONE), "peft:8": own, "peft:8@swapped": control}
    assert lines(ended(split, columns))["peft"]["all"] is None


def test_without_a_baseline_there_is_nothing_to_draw(split):
    assert lines(ended(split, {"peft:8": answered_run(split, HELPED, method="peft:8")})) == {}


def test_the_terminal_says_the_slope_over_all_tasks(experiment):
    said = figure_1_line(experiment_table(experiment=experiment))
    assert said is not None
    assert f"PEFT {10 * regress(CHANGED).slope:+.3f} [" in said
    assert "4 users" in said
    assert "RAG" not in said


def test_a_report_without_lines_says_nothing(experiment):
    del experiment.report["figure_1"]
    assert figure_1_line(experiment_table(experiment=experiment)) is None
