"""Encoders learn from documents that were judged, in a job, and are used like any encoder then."""

import json

import numpy as np
import pytest
from django.db.models import F, Func, Value
from django.db.models.fields.json import KT
from django.db.models.functions import Concat

from common.objects import get_store
from eval_app.encoder_trainings import settings_of, splits_of
from eval_app.model_trainings import cancel_training, retrain, step_training
from eval_app.models import DocumentFeedback, ModelTraining, Prediction, Question, Run
from jobs.models import Job, State
from retrieval_app.models import Embedding, Encoder, Participant, TrainedModel
from tests.eval_app.judged import FEW_STEPS, JUDGED, ask_for_encoder, both_splits
from tests.eval_app.stored import small_encoder
from tests.people import TWEETS, tweets_of
from users_app.erasure import erase_end_user
from users_app.models import Document
from users_app.shared_training import set_agreement
from workers import loaded
from workers.engine.encoder import encode

pytestmark = pytest.mark.django_db(transaction=True)

STAGES = ("step_training", "gather_document_feedback", "train_encoder")


@pytest.fixture
def train(alice, bob):
    return both_splits(alice, bob)[0]


@pytest.fixture
def trained(in_process):
    """Take a training to its end; what it made."""

    def run(training):
        in_process(*STAGES)
        training.refresh_from_db()
        assert (training.state, training.error) == ("done", "")
        return training.trained_model

    return run


def judged_otherwise(training):
    """Feedback in which of each question's documents the last one by the initial retriever is worth most."""
    for split in splits_of(training).values():
        for question in Question.objects.filter(split=split):
            ids = question.document_ids[:3]
            DocumentFeedback.objects.create(
                question=question,
                end_user_id=question.end_user_id,
                settings_digest=settings_of(training).digest,
                document_ids=ids,
                utilities=[0.0, 0.0, 1.0],
            )


def test_from_nothing_to_an_encoder(train, alice, bob, trained):
    model = trained(ask_for_encoder(train))
    initial = small_encoder()
    assert (model.kind, model.tasks, model.pool, model.documents_wanted) == ("ropg-kd", [TWEETS], [], 2)
    assert model.initial_model == f"{initial.name}@{initial.revision}"
    assert (model.encoder.name, model.encoder.revision) == (f"trained/{model.identity}", model.content_digest)
    assert model.encoder.dimension == initial.dimension
    assert set(model.participants.values_list("end_user_id", flat=True)) == {alice.pk, bob.pk}
    assert model.participant_count == 2
    # 3 questions, two a step, three times.
    assert model.steps <= 6
    assert len(model.loss_curve) == model.steps
    dev = model.metrics["dev"][TWEETS]
    assert dev["questions"] == 3
    assert 0 <= dev["initial"] <= dev["oracle"] <= 1
    assert model.metrics["left_out"] == {split: {"no_consent": 0, "incomplete": 0} for split in ("train", "dev")}


@pytest.mark.parametrize("kind", ["ropg-kd", "ropg-rl"])
def test_it_learns_to_retrieve_what_the_base_model_makes_use_of(train, trained, kind):
    training = ask_for_encoder(
        train, kind=kind, hyperparameters={**FEW_STEPS, "epochs": 30, "batch_size": 3, "temperature": 20.0}
    )
    judged_otherwise(training)
    model = trained(training)
    assert model.metrics["validations"][0] != [0, 1.0]
    assert max(value for _, value in model.metrics["validations"]) == 1.0


def test_its_folder_holds_a_model_that_any_loader_reads_and_what_made_it(train, trained):
    model = trained(ask_for_encoder(train))
    store = get_store()
    names = {info.key.removeprefix(model.object_prefix) for info in store.list(model.object_prefix)}
    assert {"config.json", "model.safetensors", "training.json"} <= names
    notes = json.loads(store.get_bytes(f"{model.object_prefix}training.json", max_bytes=100_000))
    assert (notes["kind"], notes["feedback_digest"]) == ("ropg-kd", model.feedback_digest)
    texts = [document.fields["text"] for end_user in ("alice", "bob") for document in tweets_of(owner(end_user))]
    assert not any(text in json.dumps(notes) for text in texts)
    assert encode(loaded.encoder(model.encoder), ["roses"]).shape == (1, model.encoder.dimension)


def owner(external_id):
    from users_app.models import EndUser

    return EndUser.objects.get(external_id=external_id)


def test_what_many_questions_have_in_common_is_kept_once_and_no_more_of_it_than_an_encoder_reads(
    train, trained, monkeypatch
):
    from workers.engine.retriever_training import RetrieverTrainer

    Document.objects.filter(fields__has_key="text").update(
        fields=Func(
            F("fields"),
            Value("{text}"),
            Func(Concat(KT("fields__text"), Value(" rain" * 5_000)), function="to_jsonb"),
            function="jsonb_set",
        )
    )
    training = ask_for_encoder(train)
    judged_otherwise(training)
    kept = []
    begin = RetrieverTrainer.__init__

    def beginning(trainer, encoder, train, dev, **further):
        kept.extend(text for sample in (*train, *dev) for text in sample.documents)
        begin(trainer, encoder, train, dev, **further)

    monkeypatch.setattr(RetrieverTrainer, "__init__", beginning)
    trained(training)
    assert len({id(text) for text in kept}) == len(set(kept)) < len(kept)
    assert max(map(len, kept)) < 10_000


def test_the_same_again_is_the_same_model(train, trained):
    first = trained(ask_for_encoder(train))
    assert trained(ask_for_encoder(train)) == first


def test_another_seed_another_method_are_others(train, trained):
    models = [trained(ask_for_encoder(train, **changed)) for changed in ({}, {"seed": 1}, {"kind": "ropg-rl"})]
    assert len({model.identity for model in models}) == 3
    # All of them learned from the same.
    assert len({model.feedback_digest for model in models}) == 1
    assert DocumentFeedback.objects.count() == 6


def test_interrupted_it_goes_on_where_it_was_kept(train, trained, settings, monkeypatch):
    training = ask_for_encoder(train)
    judged_otherwise(training)
    whole = trained(training)
    whole_curve, whole_digest = whole.loss_curve, whole.content_digest
    TrainedModel.objects.update(withdrawn_at="2026-01-01T00:00Z")
    settings.CHECKPOINT_SECONDS = 0
    from workers.engine.retriever_training import RetrieverTrainer

    made = []
    step = RetrieverTrainer.step

    def stopping(trainer):
        if len(made) == 3:
            made.append("stopped")
            raise RuntimeError("the worker is gone")
        loss = step(trainer)
        made.append(trainer.done)
        return loss

    monkeypatch.setattr(RetrieverTrainer, "step", stopping)
    again = trained(ask_for_encoder(train))
    assert made[3] == "stopped"
    assert made[4:] == [4, 5, 6]
    assert (again.loss_curve, again.content_digest) == (whole_curve, whole_digest)


def test_cancelled_it_records_nothing(train, in_process):
    training = ask_for_encoder(train)
    in_process("step_training", "gather_document_feedback")
    step_training(training_id=training.pk)
    cancel_training(training=training)
    in_process(*STAGES)
    training.refresh_from_db()
    assert training.state == "cancelled"
    assert not TrainedModel.objects.exists()
    assert not Encoder.objects.filter(name__startswith="trained/").exists()


def test_who_takes_their_word_back_is_left_out(alice, bob, in_process, trained):
    train, _ = both_splits(alice, bob, policy="agreed")
    for end_user in (alice, bob):
        set_agreement(workspace=end_user.workspace, end_user=end_user, agreed=True)
    training = ask_for_encoder(train)
    in_process("step_training", "gather_document_feedback")
    set_agreement(workspace=bob.workspace, end_user=bob, agreed=False)
    model = trained(training)
    assert set(model.participants.values_list("end_user_id", flat=True)) == {alice.pk}
    assert model.metrics["left_out"]["train"]["no_consent"] == 1


def test_erasing_a_participant_marks_it_and_the_retraining_is_without_them(alice, bob, train, trained):
    model = trained(ask_for_encoder(train))
    erase_end_user(workspace=alice.workspace, end_user=alice)
    model.refresh_from_db()
    assert model.erasures == 1
    again = trained(retrain(trained_model=model))
    model.refresh_from_db()
    assert model.withdrawn_at is not None
    assert set(Participant.objects.filter(trained_model=again).values_list("end_user_id", flat=True)) == {bob.pk}


def test_a_run_retrieves_by_it_and_documents_are_embedded_for_it(train, alice, trained, in_process):
    from tests.eval_app.stored import start

    model = trained(ask_for_encoder(train))
    dev = train.dataset.splits.get(split="dev")
    experiment = start(dev, "none,rag:ropg-kd", encoder=small_encoder(), parameters=JUDGED)
    in_process()
    experiment.refresh_from_db()
    assert (experiment.state, experiment.error) == ("done", "")
    run = Run.objects.get(retriever="ropg-kd")
    assert run.encoder == model.encoder
    assert Embedding.objects.filter(encoder=model.encoder, end_user=alice).count() == len(tweets_of(alice))
    question = Question.objects.filter(split=dev, end_user=alice).first()
    answered = Prediction.objects.get(run=run, question=question)
    texts = {document.pk: document.fields["text"] for document in tweets_of(alice)}
    encoder = loaded.encoder(model.encoder)
    scores = (
        encode(encoder, [texts[pk] for pk in question.document_ids])
        @ encode(encoder, [question.input.split(":", 1)[1].strip()])[0]
    )
    best = [question.document_ids[at] for at in np.argsort(-scores, kind="stable")[:2]]
    assert answered.retrieved_document_ids == best


def test_what_was_trained_is_of_its_workspace_alone(train, mallory, trained):
    from retrieval_app.trained_models import trained_models

    model = trained(ask_for_encoder(train))
    assert model not in trained_models(workspace=mallory.workspace)


class TestRefusals:
    @pytest.mark.parametrize(
        ("changed", "about"),
        [
            ({"pool": ("none", "bm25")}, "pool"),
            ({"hyperparameters": {"judged_documents": 1}}, "hyperparameters"),
            ({"hyperparameters": {"epochs": 0}}, "hyperparameters"),
        ],
    )
    def test_of_what_makes_no_sense(self, train, changed, about):
        from eval_app.model_trainings import TrainingRefused

        with pytest.raises(TrainingRefused) as refused:
            ask_for_encoder(train, **changed)
        assert refused.value.about == about
        assert not ModelTraining.objects.exists()


def test_feedback_that_failed_fails_the_training_and_is_asked_for_anew(train, in_process, monkeypatch):
    from eval_app.model_trainings import resume_training
    from workers import document_feedback

    def broken(**told):
        raise RuntimeError("broken")

    training = ask_for_encoder(train)
    with monkeypatch.context() as patched:
        patched.setattr(document_feedback, "record_feedback", broken)
        in_process(*STAGES)
    training.refresh_from_db()
    assert (training.state, "could not be gathered" in training.error) == ("failed", True)
    assert Job.objects.filter(kind="gather_document_feedback", state=State.FAILED).exists()
    resume_training(training=training)
    in_process(*STAGES)
    training.refresh_from_db()
    assert (training.state, training.error) == ("done", "")
