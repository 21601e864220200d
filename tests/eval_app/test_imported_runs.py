import io
import json

import pytest
from django.core.management import CommandError, call_command

from eval_app.experiments import advance_experiment
from eval_app.models import Experiment, ExperimentRun, Prediction, Run, UserImprovement
from eval_app.reports import experiment_table
from eval_app.table import table_as_json
from lamp.catalogue import get_task
from lamp.metrics import evaluate
from tests.eval_app.stored import answered_run, ended, start

GOLDS = {"100": "rain on my roses again", "101": "my bike loves the muddy trail", "102": "garden gloves gone again"}
ANSWERS = {"100": "rain on my roses", "101": "my bike", "102": "gone again"}


@pytest.fixture
def experiment(dev):
    return ended(dev, {"none": answered_run(dev, ["rain", "bike", "gloves"])})


@pytest.fixture
def write(tmp_path):
    """Write a file of predictions; its path."""

    def write(answers=ANSWERS, *, name="predictions.json", task="LaMP_7"):
        golds = [{"id": question_id, "output": output} for question_id, output in answers.items()]
        path = tmp_path / name
        path.write_text(json.dumps({"task": task, "golds": golds}))
        return path

    return write


def bring_in(path, **changed):
    said = io.StringIO()
    options = {"workspace": "acme", "name": "first", "task": "LaMP-7", "label": "mine", **changed}
    call_command("import_predictions", predictions=path, **options, stdout=said)
    return said.getvalue()


def stored():
    """Everything that an import may touch."""
    reports = list(Experiment.objects.order_by("pk").values())
    return [reports, *(list(model.objects.order_by("pk").values()) for model in (Run, ExperimentRun, Prediction))]


def cells(experiment, metric="rouge-1"):
    experiment.refresh_from_db()
    report = table_as_json(experiment_table(experiment=experiment))
    return next(row for row in report["rows"] if row["metric"] == metric)["cells"]


def test_they_become_a_column_beside_the_others(experiment, write):
    assert "Imported 3 predictions of LaMP-7 as imported:mine: rouge-1" in bring_in(write())
    assert list(cells(experiment)) == ["none", "imported:mine"]


def test_they_are_scored_as_any_run(experiment, write):
    bring_in(write())
    expected = evaluate(get_task("LaMP-7"), ANSWERS, GOLDS)
    assert Run.objects.get(family="imported").metrics == expected
    assert cells(experiment)["imported:mine"]["value"] == expected["rouge-1"]


def test_they_are_compared_with_no_personalization(experiment, write, alice):
    bring_in(write())
    cell = cells(experiment)["imported:mine"]
    assert 0 < cell["p_value"] <= 1
    assert (cell["wins"], cell["ties"], cell["losses"]) == (2, 0, 0)
    assert UserImprovement.objects.get(run__family="imported", end_user=alice).direction == 1


def test_nothing_is_claimed_of_how_they_were_made(experiment, write):
    bring_in(write())
    predictions = Prediction.objects.filter(run__family="imported")
    assert set(predictions.values_list("prompt", "adapter", "model_ms")) == {(None, None, None)}
    assert Run.objects.get(family="imported").base_model is None


def test_ids_may_be_numbers_in_the_file(experiment, write):
    bring_in(write({int(question_id): output for question_id, output in ANSWERS.items()}))
    assert Run.objects.filter(family="imported").exists()


def test_the_same_again_changes_nothing_and_says_so(experiment, write):
    bring_in(write())
    before = stored()
    assert "Nothing changed" in bring_in(write())
    assert stored() == before


def test_the_same_answers_in_another_order_and_file_are_the_same(experiment, write):
    bring_in(write())
    backwards = dict(reversed(ANSWERS.items()))
    assert "Nothing changed" in bring_in(write(backwards, name="other.json"))


def test_other_answers_under_the_same_label_are_refused(experiment, write):
    bring_in(write())
    before = stored()
    with pytest.raises(CommandError, match=r"“mine” stands for other predictions of LaMP-7.*another label") as raised:
        bring_in(write({**ANSWERS, "100": "something else"}))
    assert raised.value.returncode == 2
    assert stored() == before


def test_another_label_takes_another_column(experiment, write):
    bring_in(write())
    bring_in(write({**ANSWERS, "100": "something else"}), label="yours")
    assert list(cells(experiment)) == ["none", "imported:mine", "imported:yours"]


def test_equal_answers_in_two_experiments_are_one_run(experiment, write, dev):
    ended(dev, {"none": Run.objects.get()}, name="second")
    bring_in(write())
    bring_in(write(), name="second")
    assert Run.objects.filter(family="imported").count() == 1


def test_they_answer_the_questions_of_the_experiments_users_alone(dev, write):
    experiment = ended(dev, {"none": answered_run(dev, ["rain", "bike", "gloves"])}, name="few", user_limit=1)
    hers = {question_id: ANSWERS[question_id] for question_id in ("100", "102")}
    with pytest.raises(CommandError, match="1 of 3 predictions are for questions that it does not ask: 101"):
        bring_in(write(), name="few")
    bring_in(write(hers), name="few")
    assert cells(experiment)["imported:mine"]["n"] == 2


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"100": "a", "102": "c"}, "1 of the experiment's 3 questions have no prediction: 101"),
        ({**ANSWERS, "7": "a"}, "1 of 4 predictions are for questions that it does not ask: 7"),
        (
            {"100": "a", **{str(at): "b" for at in range(9)}},
            "2 of the experiment's 3 questions have no prediction: 101, 102; "
            "9 of 10 predictions are for questions that it does not ask: 0, 1, 2, 3, 4, …",
        ),
        ({}, "3 of the experiment's 3 questions have no prediction: 100, 101, 102"),
    ],
    ids=["one too few", "one too many", "both", "none"],
)
def test_other_questions_are_refused_with_the_first_few_of_them(experiment, write, answers, message):
    before = stored()
    with pytest.raises(CommandError) as raised:
        bring_in(write(answers))
    assert message in str(raised.value)
    assert "Predict exactly the questions" in str(raised.value)
    assert raised.value.returncode == 2
    assert stored() == before


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"workspace": "nowhere"}, "There is no workspace “nowhere”"),
        ({"workspace": "elsewhere"}, "no experiment “first” in workspace “elsewhere”"),
        ({"name": "second"}, "no experiment “second”"),
        ({"task": "LaMP-9"}, "LaMP-9"),
        ({"label": "two words"}, "“two words” cannot name a column: a label has"),
        ({"label": ""}, "cannot name a column"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_what_cannot_be_is_named(experiment, mallory, write, changed, message):
    before = stored()
    with pytest.raises(CommandError, match=message) as raised:
        bring_in(write(), **changed)
    assert raised.value.returncode == 2
    assert stored() == before


def test_a_task_that_the_experiment_does_not_have_is_named(experiment, write):
    with pytest.raises(CommandError, match="has no LaMP-4; it has LaMP-7"):
        bring_in(write(task="LaMP_4"), task="LaMP-4")


def test_a_file_of_another_task_is_refused(experiment, write):
    with pytest.raises(CommandError, match="names another task than LaMP-7") as raised:
        bring_in(write(task="LaMP_4"))
    assert raised.value.returncode == 2


@pytest.mark.parametrize(
    "content",
    [
        b"not json",
        b'{"task": "LaMP_7", "golds": [{"id": "100", "output": "a"}',
        b"[]",
        b'{"task": "LaMP_7"}',
        b'{"task": "LaMP_7", "golds": [{"id": "100"}]}',
        b'{"task": "LaMP_7", "golds": [{"id": "100", "output": "a"}, {"id": 100, "output": "b"}]}',
        b'{"task": "LaMP_7", "golds": [{"id": "100", "output": "a\\u0000"}]}',
        b'{"task": "LaMP_7", "golds": [{"id": "100", "output": "a\\ud800"}]}',
    ],
    ids=["not JSON", "cut off", "a list", "no golds", "no output", "an id twice", "NUL", "a lone surrogate"],
)
def test_a_file_that_is_not_in_order_is_refused_by_name(experiment, tmp_path, content):
    before = stored()
    path = tmp_path / "theirs.json"
    path.write_bytes(content)
    with pytest.raises(CommandError, match=r"^theirs\.json") as raised:
        bring_in(path)
    assert raised.value.returncode == 2
    assert stored() == before


def test_a_file_that_is_not_there_is_named(experiment, tmp_path):
    with pytest.raises(CommandError, match=r"^nowhere\.json") as raised:
        bring_in(tmp_path / "nowhere.json")
    assert raised.value.returncode == 2


def test_an_experiment_that_is_still_running_shows_them_when_it_ends(experiment, write):
    Experiment.objects.update(state="active", report=None, finished_at=None)
    bring_in(write())
    experiment.refresh_from_db()
    assert experiment.report is None
    advance_experiment(experiment_id=experiment.pk)
    assert list(cells(experiment)) == ["none", "imported:mine"]
    assert experiment.state == "done"


def test_the_experiment_goes_on_with_them(dev, write, in_process):
    """The command that ran the experiment, given again, leaves the imported column where it is."""
    experiment = start(dev, "none")
    in_process()
    bring_in(write())
    start(dev, "none", reference=True)
    in_process()
    assert list(cells(experiment)) == ["none", "imported:mine"]
    assert experiment.state == "done"
