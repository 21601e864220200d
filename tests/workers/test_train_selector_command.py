"""What `manage.py train_selector` refuses, and what it shows of a training that stands."""

from contextlib import contextmanager

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from common.objects import get_store
from eval_app.models import ModelTraining
from retrieval_app.models import TrainedModel
from tests.eval_app.standing_feedback import both_splits
from users_app.shared_training import set_shared_training
from workers.management.commands import train_selector

ALL_KINDS = (
    "step_training",
    "record_provenance",
    "advance_experiment",
    "embed_documents",
    "generate",
    "score_run",
    "train_selector",
)
SHORT = ("--num-beams", "1", "--max-output-tokens", "4", "--epochs", "1", "--base-model", "small")


@pytest.fixture
def train(alice, bob):
    return both_splits(alice, bob)[0]


def run(split, *more, reads="pre", pool="none,bm25"):
    named = ("--workspace", split.dataset.workspace.slug, "--dataset", split.dataset.name)
    call_command("train_selector", *named, "--reads", reads, "--pool", pool, *SHORT, *more)


@pytest.fixture
def workers(in_process, monkeypatch):
    """In place of processes: everything that waits runs here when they would start."""

    @contextmanager
    def here(*, concurrency):
        in_process(*ALL_KINDS)
        yield

    monkeypatch.setattr(train_selector, "local_workers", here)
    yield
    get_store().delete_prefix("trained-models/")


def test_it_trains_and_says_how_good_the_selector_is_beside_each_member(train, workers, capsys):
    run(train, "--reads", "post")
    model = TrainedModel.objects.get()
    assert (model.kind, model.participant_count) == ("rspg-post", 2)
    told = capsys.readouterr().out
    assert "LaMP-7" in told
    assert "BM25" in told
    assert "Learned from 2 users" in told
    assert "“rag:rspg-post” uses it from now on" in told


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (("--pool", "none,telepathy"), "“telepathy” is no member of a pool"),
        (("--epochs", "0"), "epochs is out of bounds"),
        (("--learning-rate", "nan"), "learning_rate is out of bounds"),
        (("-k", "0"), "-k must be between"),
        (("--users", "0"), "--users must be between"),
        (("--tasks", "LaMP-4"), "no train split of LaMP-4"),
        (("--dataset", "nothing"), "There is no dataset “nothing”"),
        (("--workspace", "nowhere"), "nowhere"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_trained_is_refused_before_anything_is_stored(train, wrong, why):
    with pytest.raises(CommandError, match=why) as refused:
        run(train, *wrong)
    assert refused.value.returncode == 2
    assert not ModelTraining.objects.exists()


def test_where_nobody_s_data_may_be_learned_from_it_says_what_to_change(train, workspace):
    set_shared_training(workspace=workspace, policy="nobody")
    with pytest.raises(CommandError, match=r"manage\.py shared_training"):
        run(train)


def test_a_training_that_fails_says_why(train, workspace, workers, monkeypatch):
    monkeypatch.setattr("workers.selector_training.initial_selector", lambda *_, **__: 1 / 0)
    with pytest.raises(CommandError, match=r"Training \d+ has failed. job \d+: "):
        run(train)
