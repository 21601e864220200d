"""The command that repeats a run, read by the command itself."""

import shlex

import pytest

from eval_app.models import Run
from eval_app.run_commands import repeat_command
from tests.eval_app.stored import a_run, small_encoder, small_t5
from tests.eval_app.unloaded import unloaded
from tests.people import questions_of, split_of
from training_app.hyperparameters import complete_hyperparameters
from workers.management.commands.run_experiment import Command

PARAMETERS = {"num_beams": 2, "max_input_tokens": 256, "max_output_tokens": 8, "exact": False, "dtype": "float32"}


def own_hyperparameters(**chosen):
    hyperparameters = complete_hyperparameters({"max_input_tokens": 256, "max_output_tokens": 8, **chosen})
    del hyperparameters["rank"]
    return hyperparameters


def made(split, method="none", **changed):
    asked = {"base_model": small_t5(), "parameters": PARAMETERS, "hyperparameters": own_hyperparameters()}
    return a_run(split, method, **{**asked, **changed})


def repeated(run, in_process, *, notes=0):
    """The run that the command comes to where the run is not there: its line is read by the command's own parser."""
    repeat = repeat_command(run, shows_paths=True)
    assert len(repeat.notes) == notes
    python, script, name, *words = shlex.split(repeat.line)
    assert (python, script, name) == ("python", "manage.py", "run_experiment")
    Run.objects.all().delete()
    command = Command()
    options = vars(command.create_parser(script, name).parse_args(words))
    experiment = command._start(options)
    in_process("advance_experiment")
    return experiment.columns.order_by("pk")


@pytest.mark.parametrize(
    ("method", "changed"),
    [
        ("none", {}),
        ("rag:bm25", {"documents_wanted": 3}),
        ("rag:recency", {"user_limit": 1}),
        ("peft:16", {"seed": 9, "hyperparameters": own_hyperparameters(epochs=2, learning_rate=3e-3, dropout=0.0)}),
        ("peft-rag:bm25:8", {"hyperparameters": own_hyperparameters(alpha=16, weight_decay=0.0, batch_size=4)}),
        ("peft:8", {"parameters": {**PARAMETERS, "exact": True}, "adapter_dtype": "float32"}),
        ("none", {"parameters": {**PARAMETERS, "dtype": "bfloat16"}}),
    ],
    ids=str,
)
def test_it_makes_the_same_run(dev, in_process, method, changed):
    run = made(dev, method, **changed)
    [column] = repeated(run, in_process)
    assert column.run.identity == run.identity


def test_a_dense_retriever_comes_with_its_encoder(dev, in_process):
    run = made(dev, "rag:contriever", encoder=small_encoder())
    [column] = repeated(run, in_process)
    assert column.run.identity == run.identity


def test_a_control_comes_with_its_own_method(dev, in_process):
    run = made(dev, "rag:bm25")
    control = made(dev, "rag:bm25@swapped")
    assert control.pk != run.pk
    columns = repeated(control, in_process)
    assert [column.run.identity for column in columns] == [run.identity, control.identity]


def test_a_name_that_a_shell_would_take_apart_is_quoted(dev):
    assert "--name 'repeat of run " in repeat_command(made(dev), shows_paths=True).line


def test_a_model_of_the_hub_is_named_with_its_revision(dev):
    assert "--base-model some/t5@1 " in repeat_command(a_run(dev), shows_paths=False).line


def of_the_small_base_model(workspace, kind, **changed):
    base = small_t5()
    return unloaded(workspace, kind, base_model=f"{base.name}@{base.revision}", **changed)


@pytest.mark.parametrize("kind", ["rspg-pre", "ropg-kd"])
def test_what_was_trained_comes_with_its_method(dev, workspace, in_process, kind):
    trained = of_the_small_base_model(workspace, kind)
    made_with = {"encoder": trained.encoder} if trained.encoder else {"selector": trained}
    run = made(dev, f"rag:{kind}", **made_with)
    [column] = repeated(run, in_process, notes=1)
    assert column.run.identity == run.identity


def test_a_fine_tuned_encoder_is_not_named(dev, workspace):
    trained = of_the_small_base_model(workspace, "ropg-kd")
    repeat = repeat_command(made(dev, "rag:ropg-kd", encoder=trained.encoder), shows_paths=True)
    assert "--encoder" not in repeat.line
    [note] = repeat.notes
    assert note.startswith(f"It needs ROPG-KD encoder {trained.pk} (digest {trained.content_digest[:12]}), which this")


class TestWhatHasToBeKnown:
    def test_a_selector_that_this_workspace_alone_has(self, dev, workspace):
        selector = of_the_small_base_model(workspace, "rspg-post")
        [note] = repeat_command(made(dev, "rag:rspg-post", selector=selector), shows_paths=True).notes
        assert note == (
            f"It needs RSPG-Post selector {selector.pk} (digest {selector.content_digest[:12]}), which this workspace "
            "alone has: elsewhere one has to be trained first."
        )

    def test_a_newer_selector(self, dev, workspace):
        run = made(dev, "rag:rspg-pre", selector=of_the_small_base_model(workspace, "rspg-pre"))
        newer = of_the_small_base_model(workspace, "rspg-pre")
        [note] = repeat_command(run, shows_paths=True).notes
        assert note.startswith(f"The command takes the newest one, RSPG-Pre selector {newer.pk} ")

    def test_nothing_of_a_selector_that_came_with_lamppost(self, dev):
        selector = of_the_small_base_model(None, "rspg-pre")
        assert repeat_command(made(dev, "rag:rspg-pre", selector=selector), shows_paths=True).notes == []

    def test_a_selector_that_was_withdrawn(self, dev, workspace):
        selector = of_the_small_base_model(workspace, "rspg-pre", withdrawn_at="2026-01-01T00:00:00Z")
        [note] = repeat_command(made(dev, "rag:rspg-pre", selector=selector), shows_paths=True).notes
        assert "was withdrawn: the command refuses the method" in note

    def test_a_newer_version_of_the_split(self, dev, alice, bob):
        run = made(dev)
        split_of(questions_of(alice, bob))
        [note] = repeat_command(run, shows_paths=True).notes
        assert note.startswith(
            "The command takes the newest version of the split, which is 2; this run is of version 1"
        )

    def test_another_precision_of_adapters(self, dev, settings):
        run = made(dev, "peft:8")
        settings.ADAPTER_DTYPE = "float32"
        assert "set ADAPTER_DTYPE=bfloat16 for the command" in repeat_command(run, shows_paths=True).notes[0]

    def test_what_the_command_has_no_option_for(self, dev):
        run = made(dev, "peft:8", hyperparameters={**own_hyperparameters(), "warmup_ratio": 0.5})
        [note] = repeat_command(run, shows_paths=True).notes
        assert note == "Made with settings that the command has no option for: warmup_ratio 0.5."

    def test_another_version_of_the_engine(self, dev, monkeypatch):
        run = made(dev)
        monkeypatch.setattr("eval_app.runs.ENGINE_VERSION", "another")
        [note] = repeat_command(run, shows_paths=True).notes
        assert "makes a run of its own" in note
