"""From feedback that stands to a stored selector: through the queue, as small as it comes."""

import json
from contextlib import suppress
from unittest import mock

import pytest
from django.db.models import F

from common.objects import get_store
from eval_app.experiments import advance_experiment
from eval_app.kinds import TRAIN_SELECTOR
from eval_app.model_trainings import cancel_training, retrain, step_training
from eval_app.models import Experiment, ModelTraining
from jobs.models import Job
from jobs.runner import claim_batch, run_batch
from lamp.catalogue import get_task
from retrieval_app.models import Participant, TrainedModel
from retrieval_app.selection import choose, selector_text
from tests.eval_app.standing_feedback import answer_feedback, ask_for_training, both_splits
from tests.eval_app.stored import small_t5
from tests.workers.passes import a_gentle_stop
from users_app.erasure import erase_end_user
from users_app.shared_training import set_agreement, set_shared_training
from workers import model_training
from workers.engine.selector import load_selector, score
from workers.engine.selector_training import SelectorTrainer
from workers.trained_model_files import folder_of

pytestmark = pytest.mark.usefixtures("in_process", "empty_store")


@pytest.fixture
def empty_store():
    """Nothing of trained models before and after."""
    for prefix in ("trained-models/", "model-checkpoints/"):
        get_store().delete_prefix(prefix)
    yield
    for prefix in ("trained-models/", "model-checkpoints/"):
        get_store().delete_prefix(prefix)


@pytest.fixture
def train(alice, bob):
    splits = both_splits(alice, bob)
    for split in splits:
        answer_feedback(split)
    return splits[0]


def waiting(train, **changed):
    """A training whose job waits."""
    return to_its_job(ask_for_training(train, **changed))


def to_its_job(training):
    step_training(training_id=training.pk)
    Experiment.objects.filter(versions={}).update(versions={"torch": "2"}, hardware={"cores": 2})
    training.refresh_from_db()
    for experiment_id in (training.train_experiment_id, training.dev_experiment_id):
        advance_experiment(experiment_id=experiment_id)
    return step_training(training_id=training.pk)


def run_job(happenings=None):
    """Claim the job and run it, with something happening after the nth step made here; how many steps were made."""
    batch = claim_batch(TRAIN_SELECTOR)
    made, step = 0, SelectorTrainer.step

    def stepping(trainer):
        nonlocal made
        loss = step(trainer)
        made += 1
        if happenings and made in happenings:
            happenings[made](batch)
        return loss

    with mock.patch.object(SelectorTrainer, "step", stepping):
        run_batch(batch)
    return made


def kill(batch):
    """As a process ends: nothing is settled."""
    for job in batch:
        job.lost = True
    raise SystemExit


def run_and_be_killed(*, after):
    with suppress(SystemExit):
        run_job({after: kill})
    Job.objects.filter(state="running").update(state="waiting", claim=None, lease_until=None, attempts=0)


def stored(prefix):
    return [info.key for info in get_store().list(prefix)]


def the_model(training):
    training.refresh_from_db()
    assert (training.state, training.error) == ("done", "")
    return training.trained_model


class TestWhole:
    def test_the_selector_stands_with_all_that_made_it(self, train, alice, bob):
        training = waiting(train)
        assert run_job() == 4
        model = the_model(training)
        assert (model.kind, model.tasks, model.steps, len(model.loss_curve)) == ("rspg-pre", ["LaMP-7"], 4, 4)
        assert model.pool == [{"retriever": "none"}, {"retriever": "bm25"}]
        assert model.initial_model.startswith("small@")
        assert model.versions["torch"]
        assert model.hardware["machine"]
        assert set(Participant.objects.values_list("end_user", flat=True)) == {alice.pk, bob.pk}
        assert Job.objects.get(kind="train_selector").result["trained_model_id"] == model.pk

    def test_its_folder_says_what_it_is_and_nobody_s_words(self, train):
        training = waiting(train)
        run_job()
        model = the_model(training)
        folder = folder_of(model)
        notes = json.loads((folder / "selector.json").read_text())
        assert (notes["reads"], notes["tasks"], notes["documents"]) == ("pre", ["LaMP-7"], 2)
        assert notes["feedback_digest"] == model.feedback_digest
        assert notes["task_versions"] == model.task_versions == {"LaMP-7": get_task("LaMP-7").version}
        assert (notes["base_model"], notes["base_model_revision"]) == ("some/t5", "1")
        assert "garden" not in (folder / "selector.json").read_text()
        assert model.size_bytes == sum(path.stat().st_size for path in folder.iterdir())

    def test_its_measurements_are_of_the_dev_split_beside_each_member_and_the_oracle(self, train):
        training = waiting(train)
        run_job()
        metrics = the_model(training).metrics
        found = metrics["dev"]["LaMP-7"]
        assert (found["questions"], found["oracle"], found["members"]) == (3, 1.0, {"none": 0.0, "bm25": 1.0})
        assert metrics["questions"] == {"train": 3, "dev": 3}
        assert metrics["left_out"] == {"train": {"no_consent": 0}, "dev": {"no_consent": 0}}

    def test_the_same_training_gives_the_same_bytes(self, train):
        first = waiting(train)
        run_job()
        model = the_model(first)
        TrainedModel.objects.filter(pk=model.pk).update(withdrawn_at="2026-01-01T00:00Z")
        second = waiting(train)
        run_job()
        again = the_model(second)
        assert again.pk != model.pk
        assert (again.identity, again.content_digest) == (model.identity, model.content_digest)

    @pytest.mark.parametrize("kind", ["rspg-pre", "rspg-post"])
    @pytest.mark.parametrize("best", ["none", "bm25"])
    def test_one_whose_feedback_always_favours_a_member_chooses_it(self, alice, bob, workspace, kind, best):
        train, dev = both_splits(alice, bob)
        for split in (train, dev):
            answer_feedback(split, best=best)
        training = waiting(train, kind=kind, hyperparameters={"epochs": 30, "batch_size": 4, "learning_rate": 3e-3})
        run_job()
        model = the_model(training)
        assert model.metrics["dev"]["LaMP-7"]["selector"] == 1.0
        selector = load_selector(folder_of(model))
        reads = "pre" if kind == "rspg-pre" else "post"
        texts = [selector_text(reads=reads, prompt=f"{name} something new", output="zzz") for name in ("none", "bm25")]
        if reads == "pre":
            assert choose(score(selector, texts).tolist()) == ["none", "bm25"].index(best)

    def test_the_small_base_model_answers_the_feedback_itself(self, alice, bob, in_process):
        """Everything through the queue, with nothing that stood before."""
        train, _ = both_splits(alice, bob)
        training = ask_for_training(train, base_model=small_t5())
        in_process(
            "step_training",
            "record_provenance",
            "advance_experiment",
            "embed_documents",
            "generate",
            "score_run",
            "train_selector",
        )
        model = the_model(training)
        assert model.base_model.startswith("small@")
        assert model.participant_count == 2


class TestInterrupted:
    @pytest.fixture
    def at_once(self, train):
        """The digest of the contents of one that was never interrupted."""
        training = waiting(train)
        run_job()
        model = the_model(training)
        digest = model.content_digest
        TrainedModel.objects.all().delete()
        return digest

    def test_a_gentle_stop_keeps_it_and_another_worker_goes_on_from_there(self, train, at_once):
        training = waiting(train)
        with a_gentle_stop() as stop:
            run_job({2: stop})
        assert Job.objects.get(kind="train_selector", state="waiting").attempts == 0
        assert [key.split("/")[2].partition("-")[0] for key in stored("model-checkpoints/")] == ["000000002"]
        assert run_job() == 2
        assert the_model(training).content_digest == at_once
        assert stored("model-checkpoints/") == []

    def test_after_a_kill_it_goes_on_from_what_was_kept(self, train, at_once, settings):
        settings.CHECKPOINT_SECONDS = 1e-9
        training = waiting(train)
        run_and_be_killed(after=3)
        assert stored("model-checkpoints/")
        assert run_job() < 4
        assert the_model(training).content_digest == at_once

    def test_a_damaged_checkpoint_is_deleted_and_it_begins_again(self, train, at_once):
        training = waiting(train)
        with a_gentle_stop() as stop:
            run_job({2: stop})
        [key] = stored("model-checkpoints/")
        get_store().put_bytes(key, b"not a checkpoint")
        assert run_job() == 4
        assert the_model(training).content_digest == at_once

    def test_it_gives_way_to_others_and_goes_on_later(self, train, at_once, settings, monkeypatch, alice):
        settings.CHECKPOINT_SECONDS = 1e-9
        monkeypatch.setattr(model_training, "TURN_SECONDS", 0.0)
        training = waiting(train)
        from tests.workers.asked import ask_for_adapter

        ask_for_adapter(alice)
        assert run_job() == 1
        Job.objects.filter(kind="train_adapter").delete()
        Job.objects.filter(state="waiting").update(available_at=F("created_at"))
        assert run_job() == 3
        assert the_model(training).content_digest == at_once


class TestCancelled:
    def test_a_cancelled_one_leaves_nothing(self, train, settings):
        settings.CHECKPOINT_SECONDS = 1e-9
        training = waiting(train)

        def cancel(batch):
            cancel_training(training=training)
            for job in batch:
                job.cancel_requested = True

        assert run_job({2: cancel}) == 2
        training.refresh_from_db()
        assert (training.state, training.trained_model) == ("cancelled", None)
        assert stored("") == [
            key for key in stored("") if not key.startswith(("trained-models/", "model-checkpoints/"))
        ]
        assert Job.objects.get(kind="train_selector").state == "cancelled"

    def test_so_does_one_that_is_cancelled_in_the_last_moment(self, train):
        training = waiting(train)
        assert run_job({4: lambda batch: cancel_training(training=training)}) == 4
        assert not TrainedModel.objects.exists()
        assert stored("trained-models/") == []

    def test_one_whose_training_has_ended_is_not_trained(self, train):
        training = waiting(train)
        ModelTraining.objects.filter(pk=training.pk).update(state="cancelled", finished_at="2026-01-01T00:00Z")
        assert run_job() == 0
        assert Job.objects.get(kind="train_selector").result == {"trained": False}


class TestPeople:
    def test_who_has_not_agreed_takes_no_part(self, train, workspace, alice, bob):
        set_shared_training(workspace=workspace, policy="agreed")
        set_agreement(workspace=workspace, end_user=bob, agreed=True)
        training = waiting(train)
        run_job()
        model = the_model(training)
        assert set(Participant.objects.values_list("end_user", flat=True)) == {bob.pk}
        assert model.metrics["left_out"]["train"] == {"no_consent": 2}

    def test_where_nobody_may_be_learned_from_any_more_it_says_so(self, train, workspace):
        training = waiting(train)
        set_shared_training(workspace=workspace, policy="nobody")
        assert run_job() == 0
        assert "may not be learned from" in Job.objects.get(kind="train_selector").error_message
        assert step_training(training_id=training.pk).state == "failed"

    @pytest.mark.parametrize("step", [2, 4], ids=["on the way", "at the end"])
    def test_who_is_erased_while_it_is_trained_is_left_out_of_it(self, train, settings, alice, bob, step):
        settings.CHECKPOINT_SECONDS = 1e-9
        training = waiting(train)

        run_job({step: lambda _: erase_end_user(workspace=alice.workspace, end_user=alice)})
        model = the_model(training)
        assert set(Participant.objects.values_list("end_user", flat=True)) == {bob.pk}
        assert (model.metrics["questions"], model.erasures) == ({"train": 1, "dev": 1}, 0)
        assert len({key.split("/")[3] for key in stored("trained-models/")}) == 1
        assert stored("model-checkpoints/") == []

    def test_after_an_erasure_the_retraining_learns_from_those_who_are_left(self, train, alice, bob):
        training = waiting(train)
        run_job()
        model = the_model(training)
        erase_end_user(workspace=alice.workspace, end_user=alice)
        model.refresh_from_db()
        assert model.erasures == 1
        again = to_its_job(retrain(trained_model=model))
        run_job()
        newer = the_model(again)
        model.refresh_from_db()
        assert (newer.erasures, model.withdrawn_at is not None) == (0, True)
        assert set(Participant.objects.filter(trained_model=newer).values_list("end_user", flat=True)) == {bob.pk}
        assert newer.feedback_digest != model.feedback_digest
