"""What `manage.py run_experiment` refuses before anything is stored or started."""

import json

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from eval_app.models import Experiment
from tests.eval_app.stored import start
from tests.people import questions_of, split_of
from workers.engine.hyperparameters import Hyperparameters


def run(split, *more, name="one", methods="none"):
    named = ("--workspace", split.dataset.workspace.slug, "--dataset", split.dataset.name, "--split", split.split)
    call_command("run_experiment", *named, "--name", name, "--methods", methods, "--base-model", "small", *more)


@pytest.mark.parametrize(
    "wrong",
    [
        ("-k", "0"),
        ("-k", "99999999999"),
        ("--users", "0"),
        ("--users", "99999999999"),
        ("--seed", "-1"),
        ("--seed", "99999999999999999999"),
        ("--num-beams", "0"),
        ("--max-output-tokens", "0"),
        ("--workers", "0"),
    ],
    ids=" ".join,
)
def test_a_number_that_no_run_could_have_is_refused_by_its_name(dev, wrong):
    with pytest.raises(CommandError, match=f"^{wrong[0]} must be between") as refused:
        run(dev, *wrong)
    assert refused.value.returncode == 2
    assert not Experiment.objects.exists()


@pytest.mark.parametrize("wrong", [("--learning-rate", "nan"), ("--dropout", "1"), ("--epochs", "0")], ids=" ".join)
def test_a_setting_that_nothing_can_be_trained_with_is_refused(dev, wrong):
    with pytest.raises(CommandError) as refused:
        run(dev, *wrong)
    assert refused.value.returncode == 2
    assert not Experiment.objects.exists()


@pytest.mark.parametrize("name", ["", "  ", "x" * 101], ids=["empty", "blank", "long"])
def test_a_name_that_cannot_be_one_is_refused(dev, name):
    with pytest.raises(CommandError, match="--name must have 1 to 100 characters") as refused:
        run(dev, name=name)
    assert refused.value.returncode == 2


# Answers of four tokens, and the same asked of `start` and on the command line.
SHORT = ("--num-beams", "1", "--max-output-tokens", "4")


def start_short(split, methods="none", **more):
    hyperparameters = Hyperparameters(max_output_tokens=4).as_dict()
    del hyperparameters["rank"]
    parameters = {"num_beams": 1, "max_input_tokens": 512, "max_output_tokens": 4, "exact": False, "dtype": "float32"}
    asked = {"documents_wanted": 4, "hyperparameters": hyperparameters, "parameters": parameters, **more}
    return start(split, methods, name="one", **asked)


def test_controls_are_asked_for_by_name_and_printed_with_the_table(dev, in_process, tmp_path, capsys):
    start_short(dev, "none,rag:bm25", controls=["swapped"])
    in_process()
    settings = (*SHORT, "--controls", "swapped")
    run(dev, *settings, "--json", tmp_path / "table.json", methods="none,rag:bm25")
    [first, _] = json.loads((tmp_path / "table.json").read_text())["rows"]
    assert set(first["cells"]["rag:bm25"]["control"]) == {"value", "n", "p_value", "p_holm"}
    assert "Own against another user's" in capsys.readouterr().out
    run(dev, *settings, "--verbosity", "0", methods="none,rag:bm25")
    assert capsys.readouterr().out == ""


def test_an_unknown_control_is_refused(dev):
    with pytest.raises(CommandError, match="invalid choice: 'shuffled'"):
        run(dev, "--controls", "shuffled")
    assert not Experiment.objects.exists()


def test_on_another_split_than_dev_the_best_may_need_the_encoder(dev, alice, bob, tmp_path):
    test = split_of(questions_of(alice, bob), split="test")
    with pytest.raises(CommandError, match=str(tmp_path)):
        run(test, "--encoder", tmp_path, methods="rag:best")


def test_the_best_of_dev_needs_no_encoder_that_is_not_asked_for(dev, tmp_path):
    start(dev, "none", name="one")
    with pytest.raises(CommandError, match="stands with other settings"):
        run(dev, "--encoder", tmp_path, methods="rag:bm25,rag:best")


def test_where_the_table_cannot_be_written_a_line_says_so(dev, tmp_path, in_process):
    start_short(dev)
    in_process()
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "table.json"
    with pytest.raises(CommandError, match=f"^The table cannot be written to {path}: "):
        run(dev, *SHORT, "--json", path)


def test_a_folder_for_the_table_is_refused_before_anything_runs(dev, tmp_path):
    with pytest.raises(CommandError, match="--json names a file to write") as refused:
        run(dev, "--json", tmp_path)
    assert refused.value.returncode == 2
    assert not Experiment.objects.exists()
