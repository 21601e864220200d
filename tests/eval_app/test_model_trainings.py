from datetime import timedelta

import pytest
from django.db.models.functions import Now

from eval_app.experiments import advance_experiment, cancel_experiment
from eval_app.model_trainings import (
    TrainingRefused,
    advance_stalled,
    cancel_training,
    jobs_ended,
    resume_training,
    retrain,
    step_training,
    training_job,
)
from eval_app.models import Dataset, Experiment, ModelTraining, Question, Run
from eval_app.trained_model_records import ModelFacts, ParticipantsGone, TrainingGone, record_trained_model
from eval_app.webhook_events import OF_MODEL_TRAININGS
from jobs.models import Job
from jobs.origins import tell
from retrieval_app.models import Participant, TrainedModel
from retrieval_app.services import ensure_encoder
from tests.eval_app.standing_feedback import answer_feedback, ask_for_training, both_splits
from tests.eval_app.stored import start
from tests.eval_app.trained import at_work
from tests.people import Asked, split_of
from tests.webhooks import webhook
from users_app.erasure import erase_end_user
from users_app.models import WebhookDelivery
from users_app.shared_training import set_agreement, set_shared_training

FACTS = {
    "identity": "ab" * 32,
    "initial_model": "small@1",
    "feedback_digest": "cd" * 32,
    "object_prefix": "trained-models/ab/abab/1/",
    "content_digest": "1",
    "size_bytes": 3,
    "metrics": {},
    "loss_curve": [0.5],
    "steps": 1,
    "training_seconds": 0.1,
    "versions": {},
    "hardware": {},
}


@pytest.fixture
def train(alice, bob):
    return both_splits(alice, bob)[0]


def fresh(training):
    return ModelTraining.objects.get(pk=training.pk)


def run_provenance(training):
    """What a model worker would say, for the experiments to begin."""
    Experiment.objects.filter(versions={}).update(versions={"torch": "2"}, hardware={"cores": 2})
    for experiment_id in (training.train_experiment_id, training.dev_experiment_id):
        advance_experiment(experiment_id=experiment_id)


def gathered(train, **changed):
    """A training whose feedback stands, and whose job waits."""
    for split in train.dataset.splits.all():
        answer_feedback(split)
    return to_its_job(ask_for_training(train, **changed))


def to_its_job(training):
    """Take a training whose runs stand as far as its job."""
    run_provenance(step_training(training_id=training.pk))
    return step_training(training_id=training.pk)


def job_ends(job, state, *, error=""):
    kind = "SomeError" if error else ""
    ended = Job.objects.filter(pk=job.pk)
    ended.update(state=state, error_type=kind, error_message=error, finished_at="2026-01-01T00:00Z")
    jobs_ended(job.origin)


def recorded(training, people, **facts):
    return record_trained_model(
        training=training, facts=ModelFacts(**{**FACTS, "pool": training.pool, **facts}), participants=people
    )


class TestRequest:
    def test_it_keeps_what_was_asked_for_with_the_defaults_filled_in(self, train):
        training = ask_for_training(train)
        assert (training.state, training.tasks, training.hyperparameters["epochs"]) == ("feedback", ["LaMP-7"], 2)
        assert training.hyperparameters["temperature"] == 1.0
        assert training.pool == [{"retriever": "none"}, {"retriever": "bm25"}]

    def test_its_first_step_is_a_job_that_names_nobody(self, train):
        training = ask_for_training(train)
        [job] = Job.objects.filter(kind="step_training")
        assert (job.payload, job.origin) == ({"training_id": training.pk}, f"model-training:{training.pk}")

    def test_dense_members_name_their_encoder(self, train):
        encoder = ensure_encoder(name="small", revision="1", dimension=2)
        training = ask_for_training(train, pool=["none", "contriever"], encoder=encoder)
        assert training.pool[1] == {"retriever": "contriever", "encoder": "small", "encoder_revision": "1"}

    @pytest.mark.parametrize(
        ("changed", "about", "why"),
        [
            ({"kind": "rspg"}, "kind", "There is no training of “rspg”"),
            ({"pool": ["none", "telepathy"]}, "pool", "“telepathy” is no member of a pool; there are none, bm25"),
            ({"pool": ["bm25"]}, "pool", "2 to 16 members"),
            ({"pool": ["bm25", "bm25"]}, "pool", "twice"),
            ({"pool": ["none", "contriever"]}, "encoder", "name its encoder"),
            ({"pool": ["none", "ropg-kd"]}, "pool", "No ropg-kd encoder is trained for LaMP-7"),
            ({"hyperparameters": {"epochs": 0}}, "hyperparameters", "epochs is out of bounds; write a whole number"),
            ({"hyperparameters": {"rank": 8}}, "hyperparameters", "“rank” is no hyperparameter"),
            ({"tasks": ["LaMP-4"]}, "tasks", "no train split of LaMP-4"),
            ({"tasks": ["LaMP-99"]}, "tasks", "LaMP-99"),
        ],
        ids=lambda value: "" if isinstance(value, str) else str(value),
    )
    def test_what_cannot_be_trained_is_refused_with_the_field_and_the_reason(self, train, changed, about, why):
        with pytest.raises(TrainingRefused, match=why) as refused:
            ask_for_training(train, **changed)
        assert refused.value.about == about
        assert not ModelTraining.objects.exists()
        assert not Job.objects.exists()

    def test_recency_without_dates_is_refused(self, alice, bob):
        set_shared_training(workspace=alice.workspace, policy="everyone")
        asked = [Asked(alice, "headline of the rain", "rain", []), Asked(bob, "headline of the bike", "bike", [])]
        split_of(asked, task="LaMP-4", split="dev", has_dates=False)
        train = split_of(asked, task="LaMP-4", split="train", has_dates=False)
        with pytest.raises(TrainingRefused, match="rag:recency needs dates") as refused:
            ask_for_training(train, pool=["none", "recency"])
        assert refused.value.about == "pool"

    def test_without_the_right_answers_there_is_nothing_to_learn_from(self, train, alice):
        split_of([Asked(alice, "question", None, [])], split="train")
        with pytest.raises(TrainingRefused, match="import its outputs") as refused:
            ask_for_training(train)
        assert refused.value.about == "tasks"

    def test_without_a_dev_split_no_step_could_be_picked(self, alice, bob):
        set_shared_training(workspace=alice.workspace, policy="everyone")
        train = split_of([Asked(alice, "question", "gold", [])], split="train")
        with pytest.raises(TrainingRefused, match="no dev split") as refused:
            ask_for_training(train)
        assert refused.value.about == "split"

    def test_the_same_is_not_trained_twice_at_a_time(self, train):
        first = ask_for_training(train)
        with pytest.raises(TrainingRefused, match=f"under way already: it is number {first.pk}"):
            ask_for_training(train)
        assert ask_for_training(train, seed=1) != first
        cancel_training(training=first)
        assert ask_for_training(train) != first

    def test_a_dataset_that_is_being_deleted_is_refused(self, train):
        Dataset.objects.update(deletion_requested_at="2026-01-01T00:00Z")
        with pytest.raises(TrainingRefused, match="being deleted") as refused:
            ask_for_training(train)
        assert refused.value.about == "dataset"


class TestConsent:
    def test_nobodys_data_may_be_learned_from_where_the_workspace_says_so(self, train, workspace):
        set_shared_training(workspace=workspace, policy="nobody")
        with pytest.raises(TrainingRefused, match=r"manage\.py shared_training") as refused:
            ask_for_training(train)
        assert refused.value.about == "shared_training"

    def test_where_users_must_agree_one_of_each_split_must_have(self, train, workspace, alice):
        set_shared_training(workspace=workspace, policy="agreed")
        with pytest.raises(TrainingRefused, match="None of the users who ask the train questions of LaMP-7 has agreed"):
            ask_for_training(train)
        set_agreement(workspace=workspace, end_user=alice, agreed=True)
        assert ask_for_training(train).state == "feedback"

    def test_the_agreement_of_somebody_beyond_the_limit_does_not_count(self, train, workspace, bob):
        set_shared_training(workspace=workspace, policy="agreed")
        set_agreement(workspace=workspace, end_user=bob, agreed=True)
        with pytest.raises(TrainingRefused, match="has agreed"):
            ask_for_training(train, user_limit=1)

    def test_it_is_looked_at_again_when_a_training_is_resumed(self, train, workspace):
        training = ask_for_training(train)
        cancel_training(training=training)
        set_shared_training(workspace=workspace, policy="nobody")
        with pytest.raises(TrainingRefused):
            resume_training(training=fresh(training))
        assert fresh(training).state == "cancelled"


class TestFeedback:
    def test_it_is_made_of_ordinary_experiments_of_both_splits(self, train):
        training = step_training(training_id=ask_for_training(train).pk)
        named = [(one.name, one.split) for one in Experiment.objects.order_by("pk")]
        assert named == [(f"feedback {training.pk} train", "train"), (f"feedback {training.pk} dev", "dev")]
        assert training.train_experiment.configuration["methods"] == ["none", "rag:bm25"]
        assert training.state == "feedback"

    def test_runs_that_stand_are_reused(self, train):
        standing = {run.pk for split in train.dataset.splits.all() for run in answer_feedback(split)}
        training = step_training(training_id=ask_for_training(train).pk)
        run_provenance(training)
        assert set(Run.objects.values_list("pk", flat=True)) == standing
        assert step_training(training_id=training.pk).state == "training"

    def test_when_it_stands_one_job_trains(self, train):
        training = gathered(train)
        step_training(training_id=training.pk)
        [job] = Job.objects.filter(kind="train_selector")
        assert (job.payload, job.workspace_id) == ({"training_id": training.pk}, training.workspace_id)

    def test_the_end_of_an_experiment_takes_the_training_further(self, train):
        for split in train.dataset.splits.all():
            answer_feedback(split)
        training = step_training(training_id=ask_for_training(train).pk)
        Job.objects.filter(kind="step_training").delete()
        run_provenance(training)
        tell([f"experiment:{training.dev_experiment_id}"])
        assert Job.objects.filter(kind="step_training", state="waiting").count() == 1

    def test_a_failed_experiment_fails_it_and_it_can_be_resumed(self, train):
        training = step_training(training_id=ask_for_training(train).pk)
        Experiment.objects.filter(pk=training.dev_experiment_id).update(
            state="failed", error="a disk is full", finished_at="2026-01-01T00:00Z"
        )
        assert "a disk is full" in step_training(training_id=training.pk).error
        resume_training(training=fresh(training))
        again = step_training(training_id=training.pk)
        assert (again.state, again.error, again.dev_experiment.state) == ("feedback", "", "active")
        assert again.dev_experiment_id == training.dev_experiment_id

    def test_an_experiment_that_somebody_cancelled_fails_it(self, train):
        training = step_training(training_id=ask_for_training(train).pk)
        cancel_experiment(experiment=training.train_experiment)
        assert "was cancelled. Resume" in step_training(training_id=training.pk).error

    def test_a_name_that_is_taken_by_something_else_fails_it(self, train):
        training = ask_for_training(train)
        start(train, name=f"feedback {training.pk} train", seed=5)
        failed = step_training(training_id=training.pk)
        assert failed.state == "failed"
        assert "stands with other settings" in failed.error


class TestJob:
    def test_a_failed_one_fails_the_training(self, train):
        training = gathered(train)
        job_ends(training_job(training), "failed", error="no room")
        step_training(training_id=training.pk)
        assert (fresh(training).state, "no room" in fresh(training).error) == ("failed", True)

    def test_a_cancelled_one_cancels_it(self, train):
        training = gathered(train)
        job_ends(training_job(training), "cancelled")
        assert step_training(training_id=training.pk).state == "cancelled"

    def test_one_that_is_gone_is_asked_for_again_by_the_sweep(self, train):
        training = gathered(train)
        Job.objects.all().delete()
        advance_stalled()
        assert Job.objects.filter(kind="step_training").count() == 1
        step_training(training_id=training.pk)
        assert training_job(training).state == "waiting"

    def test_one_that_was_stepped_just_now_is_left_alone_for_a_minute(self, train):
        training = gathered(train)
        Job.objects.exclude(kind="step_training").delete()
        job = Job.objects.filter(kind="step_training")
        job.update(state="done", attempts=1, started_at=Now(), finished_at=Now() - timedelta(seconds=50))
        advance_stalled()
        assert not job.filter(state="waiting").exists()
        job.update(finished_at=Now() - timedelta(seconds=61))
        advance_stalled()
        assert job.filter(state="waiting", payload={"training_id": training.pk}).count() == 1

    def test_the_sweep_leaves_alone_what_is_under_way(self, train):
        training = gathered(train)
        Job.objects.filter(kind="step_training").delete()
        advance_stalled()
        assert not Job.objects.filter(kind="step_training").exists()
        assert fresh(training).state == "training"

    def test_a_step_that_failed_for_good_fails_the_training(self, train):
        training = ask_for_training(train)
        [job] = Job.objects.all()
        job_ends(job, "failed", error="out of order")
        assert "could not be taken further" in fresh(training).error


class TestCancelling:
    def test_everything_of_it_stops(self, train):
        training = step_training(training_id=ask_for_training(train).pk)
        cancel_training(training=training)
        assert fresh(training).state == "cancelled"
        assert set(Experiment.objects.values_list("state", flat=True)) == {"cancelled"}
        origin = f"model-training:{training.pk}"
        assert set(Job.objects.filter(origin=origin).values_list("state", flat=True)) == {"cancelled"}

    def test_it_is_not_resumed_before_a_worker_has_let_go_of_it(self, train):
        training = gathered(train)
        job = training_job(training)
        at_work(job, done=1, total=4, message="")
        cancel_training(training=training)
        with pytest.raises(TrainingRefused, match="It is still ending; try again in a moment"):
            resume_training(training=fresh(training))
        assert fresh(training).state == "cancelled"
        Job.objects.filter(pk=job.pk).update(
            state="cancelled", claim=None, lease_until=None, finished_at="2026-01-01T00:00Z"
        )
        resume_training(training=fresh(training))
        for _ in range(2):
            to_its_job(training)
        assert (fresh(training).state, training_job(training).state) == ("training", "waiting")

    def test_one_that_is_done_stays_so(self, train, alice):
        training = gathered(train)
        recorded(training, [alice.pk])
        cancel_training(training=training)
        assert fresh(training).state == "done"


class TestRecording:
    def test_the_model_stands_with_its_participants_and_ends_the_training(self, train, alice, bob):
        training = gathered(train)
        model = recorded(training, [alice.pk, bob.pk, alice.pk])
        assert (fresh(training).state, fresh(training).trained_model) == ("done", model)
        assert set(Participant.objects.values_list("end_user", flat=True)) == {alice.pk, bob.pk}
        assert (model.participant_count, model.base_model, model.workspace) == (2, "some/t5@1", train.dataset.workspace)

    def test_the_same_model_again_is_the_one_that_stands(self, train, alice):
        model = recorded(gathered(train), [alice.pk])
        assert recorded(to_its_job(ask_for_training(train)), [alice.pk]) == model
        assert Participant.objects.count() == 1

    def test_nothing_is_recorded_of_somebody_who_was_erased_meanwhile(self, train, alice, bob):
        training = gathered(train)
        erase_end_user(workspace=alice.workspace, end_user=alice)
        with pytest.raises(ParticipantsGone, match="erased"):
            recorded(training, [alice.pk, bob.pk])
        assert not TrainedModel.objects.exists()

    def test_nor_of_somebody_who_no_longer_agrees(self, train, workspace, alice, bob):
        training = gathered(train)
        set_shared_training(workspace=workspace, policy="agreed")
        set_agreement(workspace=workspace, end_user=bob, agreed=True)
        with pytest.raises(ParticipantsGone, match="no longer agrees"):
            recorded(training, [alice.pk, bob.pk])

    def test_nor_where_the_training_was_cancelled_meanwhile(self, train, alice):
        training = gathered(train)
        cancel_training(training=training)
        with pytest.raises(TrainingGone):
            recorded(training, [alice.pk])


class TestWebhooks:
    @pytest.fixture
    def told(self, workspace, mallory):
        """How each training ended that an endpoint of the workspace is to be told of."""
        for listening in (workspace, mallory.workspace):
            webhook(listening, "https://93.184.216.34/", event_types=["model_training.finished"])

        def told():
            found = WebhookDelivery.objects.filter(endpoint__workspace=workspace).order_by("pk")
            assert found.count() == WebhookDelivery.objects.count()
            return list(found.values_list("subject_id", "outcome"))

        return told

    def test_hear_of_one_that_is_done(self, told, train, alice):
        training = gathered(train)
        assert told() == []
        recorded(training, [alice.pk])
        assert told() == [(training.pk, "done")]

    def test_hear_of_one_that_failed(self, told, train):
        training = gathered(train)
        job_ends(training_job(training), "failed", error="no room")
        step_training(training_id=training.pk)
        assert told() == [(training.pk, "failed")]

    def test_hear_once_of_one_that_was_cancelled(self, told, train):
        training = step_training(training_id=ask_for_training(train).pk)
        for _ in range(2):
            cancel_training(training=training)
        assert told() == [(training.pk, "cancelled")]

    def test_are_told_which_and_how_and_where_more_is(self, train, workspace, mallory, alice):
        training = gathered(train)
        assert OF_MODEL_TRAININGS.read(workspace, training.pk, "done") is None
        recorded(training, [alice.pk])
        assert OF_MODEL_TRAININGS.read(workspace, training.pk, "done").data == {
            "id": training.pk,
            "kind": training.kind,
            "tasks": training.tasks,
            "state": "done",
            "url": f"/api/v1/model-trainings/{training.pk}",
        }
        assert OF_MODEL_TRAININGS.read(mallory.workspace, training.pk, "done") is None


class TestRetraining:
    def test_an_erasure_marks_the_model_and_the_retraining_is_of_those_who_are_left(self, train, alice, bob):
        model = recorded(gathered(train), [alice.pk, bob.pk])
        erase_end_user(workspace=alice.workspace, end_user=alice)
        model.refresh_from_db()
        assert (model.erasures, model.withdrawn_at) == (1, None)
        again = retrain(trained_model=model, begun_by="staff")
        assert (again.replaces, again.begun_by, again.hyperparameters) == (
            model,
            "staff",
            model.trainings.get().hyperparameters,
        )
        assert not Question.objects.filter(end_user_id=alice.pk).exists()

    def test_the_old_model_is_withdrawn_when_the_new_one_stands(self, train, alice, bob):
        model = recorded(gathered(train), [alice.pk, bob.pk])
        newer = recorded(to_its_job(retrain(trained_model=model)), [bob.pk], identity="ef" * 32)
        model.refresh_from_db()
        assert (model.withdrawn_at is not None, newer.withdrawn_at) == (True, None)

    def test_the_same_outcome_leaves_the_model_in_use(self, train, alice):
        model = recorded(gathered(train), [alice.pk])
        assert recorded(to_its_job(retrain(trained_model=model)), [alice.pk]) == model
        model.refresh_from_db()
        assert model.withdrawn_at is None

    def test_the_same_outcome_takes_the_mark_away_and_adds_who_took_part(self, train, alice, bob):
        model = recorded(gathered(train), [alice.pk])
        TrainedModel.objects.update(erasures=2, participant_count=7)
        assert recorded(to_its_job(retrain(trained_model=model)), [bob.pk]) == model
        model.refresh_from_db()
        assert (model.erasures, model.participant_count) == (0, 2)
        assert set(Participant.objects.values_list("end_user", flat=True)) == {alice.pk, bob.pk}

    def test_without_a_record_of_how_it_was_made_it_is_refused(self, train, alice):
        model = recorded(gathered(train), [alice.pk])
        ModelTraining.objects.all().delete()
        with pytest.raises(TrainingRefused, match="not on record") as refused:
            retrain(trained_model=model)
        assert refused.value.about == "trained_model"
