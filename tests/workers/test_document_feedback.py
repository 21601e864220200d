"""The base model judges documents: as by hand, once, of those alone who take part, and going on where it stopped."""

import pytest

from eval_app.document_feedback import FeedbackSettings, record_feedback
from eval_app.encoder_feedback import EncoderFeedback, feedback_stands
from eval_app.model_trainings import step_training
from eval_app.models import DocumentFeedback, Question
from jobs.models import Job, State
from jobs.services import cancel
from lamp.catalogue import get_task
from lamp.metrics import sample_scores
from lamp.queries import query_of
from tests.eval_app.judged import JUDGED, ask_for_encoder, both_splits
from tests.eval_app.stored import small_encoder, small_t5
from tests.people import TWEETS, tweets_of
from users_app.erasure import erase_document, erase_end_user
from users_app.shared_training import set_agreement
from workers import document_feedback, loaded
from workers.engine.encoder import encode
from workers.engine.generation import GenerationRow, generate

pytestmark = pytest.mark.django_db(transaction=True)

GATHER = "gather_document_feedback"


@pytest.fixture
def train(alice, bob):
    return both_splits(alice, bob)[0]


@pytest.fixture
def gather(in_process):
    """Have everything judged that a training asks for; the feedback by question."""

    def run(training):
        step_training(training_id=training.pk)
        in_process(GATHER)
        return stored(training.dataset.splits.get(split="train"))

    return run


def stored(split):
    return {row.question_id: row for row in DocumentFeedback.objects.filter(question__split=split)}


def by_hand(question, *, count):
    """(document id, utility) of a question's first documents, one generation each."""
    task = get_task(TWEETS)
    base = loaded.base_model(small_t5(), dtype="float32")
    encoder = loaded.encoder(small_encoder())
    documents = {document.pk: document for document in tweets_of(question.end_user)}
    texts = [documents[pk].fields["text"] for pk in question.document_ids]
    scores = encode(encoder, texts) @ encode(encoder, [query_of(task, question.input)])[0]
    judged = []
    for at in sorted(range(len(texts)), key=lambda at: -scores[at])[:count]:
        said = f'"{texts[at]}"  are written by a person. Following the given patterns {question.input}'
        [answer] = generate(
            base,
            [GenerationRow(said)],
            num_beams=JUDGED["num_beams"],
            max_input_tokens=JUDGED["max_input_tokens"],
            max_output_tokens=JUDGED["max_output_tokens"],
        )
        judged.append((question.document_ids[at], sample_scores(task, answer.text, question.gold)["rouge-1"]))
    return judged


def test_each_of_the_first_documents_is_worth_what_it_gives_alone(train, gather):
    found = gather(ask_for_encoder(train))
    questions = Question.objects.filter(split=train)
    assert set(found) == {question.pk for question in questions}
    for question in questions:
        row = found[question.pk]
        assert list(zip(row.document_ids, row.utilities, strict=True)) == [
            (document_id, pytest.approx(worth, abs=1e-12)) for document_id, worth in by_hand(question, count=3)
        ]
        assert row.end_user_id == question.end_user_id
    assert any(len(set(row.utilities)) > 1 for row in found.values())


def test_a_document_that_stands_twice_in_a_profile_is_judged_once(train, gather):
    question = Question.objects.filter(split=train).first()
    ids = question.document_ids[:2] * 2
    Question.objects.filter(pk=question.pk).update(document_ids=ids, entry_ids=["a", "b", "c", "d"])
    found = gather(ask_for_encoder(train))
    assert sorted(found[question.pk].document_ids) == sorted(ids[:2])


def test_both_splits_are_judged_and_then_the_training_goes_on(train, gather):
    training = ask_for_encoder(train)
    assert step_training(training_id=training.pk).state == "feedback"
    gather(training)
    assert DocumentFeedback.objects.count() == 6
    assert step_training(training_id=training.pk).state == "training"


def test_the_other_kind_of_training_finds_all_of_it_there(train, gather):
    gather(ask_for_encoder(train))
    other = step_training(training_id=ask_for_encoder(train, kind="ropg-rl").pk)
    assert other.state == "training"
    assert not Job.objects.filter(kind=GATHER, state=State.WAITING).exists()


@pytest.mark.parametrize(
    "changed", [{"hyperparameters": {"judged_documents": 2}}, {"parameters": {**JUDGED, "num_beams": 2}}]
)
def test_what_was_judged_otherwise_does_not_count(train, gather, changed):
    gather(ask_for_encoder(train))
    other = step_training(training_id=ask_for_encoder(train, **changed).pk)
    assert other.state == "feedback"
    assert Job.objects.filter(kind=GATHER, state=State.WAITING).exists()


def test_nobody_is_judged_who_has_not_agreed(alice, bob, gather):
    train, _ = both_splits(alice, bob, policy="agreed")
    set_agreement(workspace=bob.workspace, end_user=bob, agreed=True)
    training = ask_for_encoder(train)
    gather(training)
    assert set(DocumentFeedback.objects.values_list("end_user_id", flat=True)) == {bob.pk}
    assert step_training(training_id=training.pk).state == "training"


def test_who_takes_their_word_back_before_the_job_is_judged_no_more(alice, bob, in_process):
    train, _ = both_splits(alice, bob, policy="agreed")
    for end_user in (alice, bob):
        set_agreement(workspace=end_user.workspace, end_user=end_user, agreed=True)
    training = ask_for_encoder(train)
    step_training(training_id=training.pk)
    set_agreement(workspace=alice.workspace, end_user=alice, agreed=False)
    in_process(GATHER)
    assert set(DocumentFeedback.objects.values_list("end_user_id", flat=True)) == {bob.pk}
    assert step_training(training_id=training.pk).state == "training"


def test_an_interruption_costs_only_what_was_not_kept(train, in_process, monkeypatch, settings):
    settings.JOBS_BACKOFF_SECONDS = 0
    monkeypatch.setattr(document_feedback, "_PROMPTS_AT_ONCE", 1)
    kept = []

    def failing(**told):
        if len(kept) == 2:
            kept.append("the worker is gone")
            raise RuntimeError("gone")
        kept.append(told["question"].pk)
        return record_feedback(**told)

    monkeypatch.setattr(document_feedback, "record_feedback", failing)
    step_training(training_id=ask_for_encoder(train).pk)
    in_process(GATHER)
    judged = [one for one in kept if isinstance(one, int)]
    assert len(judged) == len(set(judged)) == DocumentFeedback.objects.count() == 6


def test_it_gives_way_to_whoever_waits_for_an_answer(train, in_process, monkeypatch):
    monkeypatch.setattr(document_feedback, "_PROMPTS_AT_ONCE", 1)
    monkeypatch.setattr("jobs.batches.Batch.others_wait", lambda batch: True)
    step_training(training_id=ask_for_encoder(train).pk)
    batches = in_process(GATHER)
    # One question each time; what is left after the last one is only to be marked as done.
    assert batches == 6
    assert DocumentFeedback.objects.count() == 6
    assert set(Job.objects.filter(kind=GATHER).values_list("state", "attempts")) == {("done", 1)}


def test_a_cancelled_one_keeps_nothing_more(train, in_process, monkeypatch):
    monkeypatch.setattr(document_feedback, "_PROMPTS_AT_ONCE", 1)

    def cancelling(**told):
        jobs = Job.objects.filter(kind=GATHER, state__in=[State.WAITING, State.RUNNING])
        cancel(*jobs.values_list("pk", flat=True))
        from jobs.heart import heart

        for job in heart._held.values():
            job.cancel_requested = True
        return record_feedback(**told)

    monkeypatch.setattr(document_feedback, "record_feedback", cancelling)
    step_training(training_id=ask_for_encoder(train).pk)
    in_process(GATHER)
    assert DocumentFeedback.objects.count() == 1
    assert set(Job.objects.filter(kind=GATHER).values_list("state", flat=True)) == {"cancelled"}


def test_asked_for_with_another_version_it_fails_for_good(train, in_process, monkeypatch):
    step_training(training_id=ask_for_encoder(train).pk)
    monkeypatch.setattr("eval_app.document_feedback.ENGINE_VERSION", "another")
    in_process(GATHER)
    job = Job.objects.filter(kind=GATHER).first()
    assert (job.state, "another version" in job.error_message) == ("failed", True)


class TestErasure:
    def test_of_a_person_takes_what_was_judged_of_theirs(self, alice, bob, train, gather):
        training = ask_for_encoder(train)
        gather(training)
        feedback = read(training)
        erase_end_user(workspace=alice.workspace, end_user=alice)
        assert set(DocumentFeedback.objects.values_list("end_user_id", flat=True)) == {bob.pk}
        assert not stands(training, feedback)

    def test_of_a_document_takes_the_questions_that_were_judged_by_it(self, alice, train, gather):
        training = ask_for_encoder(train)
        before = gather(training)
        feedback = read(training)
        entry = alice.profile_entries.order_by("position").first()
        erase_document(workspace=alice.workspace, end_user=alice, task=TWEETS, client_id=entry.client_id)
        quoting = {pk for pk, row in before.items() if entry.document_id in row.document_ids}
        assert quoting
        assert set(before) - set(stored(train)) == quoting
        assert not stands(training, feedback)
        # Asked for again, the questions are judged by what is left.
        assert entry.document_id not in {pk for row in gather(training).values() for pk in row.document_ids}

    def test_meanwhile_leaves_nothing_of_the_person(self, alice, train):
        question = Question.objects.select_related("end_user", "split").filter(split=train, end_user=alice).first()
        erase_end_user(workspace=alice.workspace, end_user=alice)
        kept = record_feedback(
            workspace=train.dataset.workspace,
            question=question,
            settings_digest="0" * 64,
            document_ids=question.document_ids,
            utilities=[0.5] * len(question.document_ids),
        )
        assert (kept, DocumentFeedback.objects.count()) == (False, 0)

    def test_of_a_bystander_changes_nothing(self, mallory, train, gather):
        training = ask_for_encoder(train)
        gather(training)
        feedback = read(training)
        erase_end_user(workspace=mallory.workspace, end_user=mallory)
        assert stands(training, feedback)


def read(training):
    feedback = EncoderFeedback(training)
    for split in ("train", "dev"):
        list(feedback.samples(split))
    return feedback


def stands(training, feedback):
    return feedback_stands(
        workspace=training.workspace, end_user_ids=feedback.end_user_ids, feedback_ids=feedback.feedback_ids
    )


class TestSamples:
    def test_hold_the_query_and_the_texts_in_the_first_retrievers_order(self, train, gather):
        training = ask_for_encoder(train)
        found = gather(training)
        samples = list(EncoderFeedback(training).samples("train"))
        questions = list(Question.objects.filter(split=train).order_by("position"))
        assert [sample.query for sample in samples] == [query_of(get_task(TWEETS), one.input) for one in questions]
        texts = {document.pk: document.fields["text"] for one in questions for document in tweets_of(one.end_user)}
        for sample, question in zip(samples, questions, strict=True):
            assert list(sample.documents) == [texts[pk] for pk in found[question.pk].document_ids]
            assert list(sample.utilities) == found[question.pk].utilities

    def test_equal_feedback_has_an_equal_digest(self, train, gather):
        training = ask_for_encoder(train)
        gather(training)
        first, second = read(training), read(training)
        assert first.digest == second.digest
        DocumentFeedback.objects.filter(pk=first.feedback_ids[0]).update(utilities=[0.0, 0.0, 1.0])
        assert read(training).digest != first.digest

    def test_leave_out_who_no_longer_agrees_and_say_how_many(self, alice, bob, gather):
        train, _ = both_splits(alice, bob, policy="agreed")
        for end_user in (alice, bob):
            set_agreement(workspace=end_user.workspace, end_user=end_user, agreed=True)
        training = ask_for_encoder(train)
        gather(training)
        set_agreement(workspace=alice.workspace, end_user=alice, agreed=False)
        feedback = read(training)
        assert feedback.end_user_ids == {bob.pk}
        assert feedback.left_out["train"] == {"no_consent": 2, "incomplete": 0}

    def test_of_one_document_teach_nothing(self, bob, train, gather):
        question = Question.objects.filter(split=train, end_user=bob)
        question.update(document_ids=question.get().document_ids[:1], entry_ids=["a"])
        training = ask_for_encoder(train)
        gather(training)
        feedback = read(training)
        assert feedback.left_out["train"]["incomplete"] == 1


def test_the_settings_name_all_that_decides_the_feedback(db):
    def digest(**changed):
        told = {
            "task": get_task(TWEETS),
            "encoder": small_encoder(),
            "base_model": small_t5(),
            "documents": 16,
            "parameters": JUDGED,
        }
        return FeedbackSettings(**{**told, **changed}).digest

    others = [{"documents": 15}, {"task": get_task("LaMP-4")}, {"parameters": {**JUDGED, "max_output_tokens": 8}}]
    assert len({digest(), *(digest(**changed) for changed in others)}) == 4
