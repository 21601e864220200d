"""What `manage.py train_encoder` trains, shows and refuses."""

from contextlib import contextmanager

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from eval_app.models import ModelTraining
from retrieval_app.models import TrainedModel
from tests.eval_app.judged import both_splits
from workers.management.commands import train_encoder

pytestmark = pytest.mark.django_db(transaction=True)

SHORT = ("--num-beams", "1", "--max-output-tokens", "4", "--epochs", "1", "--base-model", "small")


@pytest.fixture
def train(alice, bob):
    return both_splits(alice, bob)[0]


def run(split, *more):
    named = ("--workspace", split.dataset.workspace.slug, "--dataset", split.dataset.name)
    call_command("train_encoder", *named, "--task", "LaMP-7", "--mode", "kd", *SHORT, *more)


def test_it_trains_and_says_what_the_first_documents_are_worth_before_and_after(train, in_process, monkeypatch, capsys):
    @contextmanager
    def here(*, concurrency):
        in_process("step_training", "gather_document_feedback", "train_encoder")
        yield

    monkeypatch.setattr(train_encoder, "local_workers", here)
    run(train, "--mode", "rl", "--judged-documents", "2")
    model = TrainedModel.objects.get()
    assert (model.kind, model.hyperparameters["judged_documents"]) == ("ropg-rl", 2)
    told = capsys.readouterr().out
    assert "LaMP-7" in told
    assert "“rag:ropg-rl” uses what was trained" in told


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (("--epochs", "0"), "epochs is out of bounds"),
        (("--judged-documents", "1"), "judged_documents is out of bounds"),
        (("-k", "0"), "-k must be between"),
        (("--task", "LaMP-7,LaMP-4"), "no train split of LaMP-4"),
        (("--dataset", "nothing"), "There is no dataset “nothing”"),
        (("--workspace", "nowhere"), "nowhere"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_stored(train, wrong, why):
    with pytest.raises(CommandError, match=why) as refused:
        run(train, *wrong)
    assert refused.value.returncode == 2
    assert not ModelTraining.objects.exists()
