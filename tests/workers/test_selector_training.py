"""From feedback that stands to a stored selector: through the queue, as small as it comes."""

import json
from contextlib import suppress
from unittest import mock

import pytest
from django.db.models import F, Value
from django.db.models.functions import Concat

from common.objects import get_store
from eval_app.experiments import advance_experiment
from eval_app.kinds import TRAIN_SELECTOR
from eval_app.model_trainings import cancel_training, retrain, step_training
from eval_app.models import Experiment, ModelTraining, Prediction
from jobs.models import Job
from jobs.runner import claim_batch, run_batch
from lamp.catalogue import get_task
from retrieval_app.models import Participant, TrainedModel
from retrieval_app.selection import choose, selector_text
from tests.eval_app.standing_feedback import FEW_STEPS, answer_feedback, ask_for_training, both_splits
from tests.eval_app.stored import small_t5
from tests.people import person
from tests.workers.passes import a_gentle_stop
from users_app.erasure import erase_document, erase_end_user
from users_app.shared_training import set_agreement, set_shared_training
from workers import model_training
from workers.engine.selector import load_selector, score, token_rows
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


class TestMemory:
    @pytest.mark.parametrize("kind", ["rspg-pre", "rspg-post"])
    def test_no_more_of_a_text_is_kept_than_a_selector_can_read(self, train, kind):
        Prediction.objects.update(prompt=Concat("prompt", Value(" garden" * 5_000)), output="roses " * 5_000)
        waiting(train, kind=kind)
        kept = []
        begin = SelectorTrainer.__init__

        def beginning(trainer, selector, train, dev, **further):
            kept.extend((selector, text) for sample in (*train, *dev) for text in sample.texts)
            begin(trainer, selector, train, dev, **further)

        with mock.patch.object(SelectorTrainer, "__init__", beginning):
            run_job()
        assert kept
        for selector, text in kept:
            assert len(text.text) + len(text.output or "") < 20_000
            # More of it would make no difference.
            longer = text._replace(text=text.text + " rain", output=None if kind == "rspg-pre" else text.output + " x")
            assert token_rows(selector, [longer]) == token_rows(selector, [text])


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

    @pytest.mark.parametrize("look", [1, 2], ids=["on the way", "at the end"])
    def test_a_stop_is_heard_in_the_middle_of_a_look_at_the_dev_set(self, train, look):
        training = waiting(train, hyperparameters={**FEW_STEPS, "validations": 2})
        score, scores = SelectorTrainer._highest, 0

        with a_gentle_stop() as stop:

            def scoring(trainer, of_one):
                nonlocal scores
                scores += 1
                # The first of the two batches of a look at three questions has two.
                if scores == 3 * (look - 1) + 2:
                    stop(None)
                return score(trainer, of_one)

            with mock.patch.object(SelectorTrainer, "_highest", scoring):
                run_job()
            assert scores == 3 * (look - 1) + 2
        [key] = stored("model-checkpoints/")
        assert key.split("/")[2].partition("-")[0] == f"{2 * look:09d}"
        assert run_job() == (2 if look == 1 else 1)
        model = the_model(training)
        assert [step for step, _ in model.metrics["validations"]] == [2, 4]

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

    def test_trainings_take_turns_and_none_waits_for_the_end_of_another(self, train, settings, monkeypatch):
        settings.CHECKPOINT_SECONDS = 1e-9
        trainings = [waiting(train, seed=seed) for seed in (0, 1)]
        assert run_job() == 4, "within its turn it gives way to nobody"
        monkeypatch.setattr(model_training, "TURN_SECONDS", 0.0)
        trainings.append(waiting(train, seed=2))
        assert run_job() == 1
        [claimed_next] = claim_batch(TRAIN_SELECTOR)
        claimed_next.give_back(delay_seconds=0)
        assert claimed_next.payload == {"training_id": trainings[2].pk}


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

    def test_what_waits_keeps_nothing_that_was_learned_from_who_is_erased(self, train, alice, bob):
        training = waiting(train)
        with a_gentle_stop() as stop:
            run_job({2: stop})
        assert stored("model-checkpoints/")
        erase_end_user(workspace=alice.workspace, end_user=alice)
        assert stored("model-checkpoints/") == []
        assert run_job() > 0
        assert the_model(training).participants.get().end_user == bob

    def test_nor_from_an_erased_document(self, train, alice):
        waiting(train)
        with a_gentle_stop() as stop:
            run_job({2: stop})
        entry = alice.profile_entries.first()
        erase_document(workspace=alice.workspace, end_user=alice, task=entry.task, client_id=entry.client_id)
        assert stored("model-checkpoints/") == []

    def test_nor_does_the_erasure_of_somebody_who_asks_nothing_of_it_cost_it_anything(self, train, workspace):
        waiting(train)
        carol = person(workspace, "carol")
        with a_gentle_stop() as stop:
            run_job({2: stop})
        erase_end_user(workspace=workspace, end_user=carol)
        assert len(stored("model-checkpoints/")) == 1

    def test_a_worker_that_stops_right_after_an_erasure_keeps_nothing_either(self, train, alice):
        waiting(train)
        with a_gentle_stop() as stop:

            def erase_and_stop(batch):
                erase_end_user(workspace=alice.workspace, end_user=alice)
                stop(batch)

            run_job({2: erase_and_stop})
        assert Job.objects.get(kind="train_selector").state == "waiting"
        assert stored("model-checkpoints/") == []

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
