import pytest

from eval_app.experiments import advance_experiment
from eval_app.model_trainings import step_training
from eval_app.models import Experiment, Prediction, Question, Run
from eval_app.selector_feedback import SelectorFeedback, feedback_stands
from eval_app.training_kinds import TrainingFailed
from lamp.catalogue import get_task
from lamp.utility import utility
from tests.eval_app.standing_feedback import answer_feedback, ask_for_training, both_splits
from tests.people import tweets_of
from users_app.erasure import erase_document, erase_end_user
from users_app.models import ProfileEntry
from users_app.shared_training import set_agreement, set_shared_training


@pytest.fixture
def training(alice, bob):
    """One whose feedback stands."""
    train, dev = both_splits(alice, bob)
    answer_feedback(train)
    answer_feedback(dev)
    asked = step_training(training_id=ask_for_training(train).pk)
    Experiment.objects.update(versions={"torch": "2"})
    for experiment_id in (asked.train_experiment_id, asked.dev_experiment_id):
        advance_experiment(experiment_id=experiment_id)
    return step_training(training_id=asked.pk)


def read(training, split="train"):
    feedback = SelectorFeedback(training)
    return feedback, list(feedback.samples(split))


def digest(training):
    feedback = SelectorFeedback(training)
    list(feedback.samples("train"))
    return feedback.digest


def test_every_question_comes_with_what_each_member_made_of_it(training, alice, bob):
    feedback, samples = read(training)
    # Users in the order of their first question, and the questions of each together.
    assert [(sample.question, sample.end_user_id) for sample in samples] == [
        ("100", alice.pk),
        ("102", alice.pk),
        ("101", bob.pk),
    ]
    none, bm25 = samples[0].candidates
    question = Question.objects.get(split__split="train", external_id="100")
    assert (none.prompt, none.output, none.utility) == (f"none {question.input}", "zzz", 0.0)
    assert (bm25.output, bm25.utility) == (question.gold, 1.0)
    assert feedback.end_user_ids == {alice.pk, bob.pk}
    assert len(feedback.prediction_ids) == 6


def test_the_utility_is_the_metric_s(training):
    Prediction.objects.filter(question__external_id="100", run__retriever="bm25").update(output="rain on my bike")
    _, [first, *_] = read(training)
    gold = Question.objects.get(split__split="train", external_id="100").gold
    assert first.candidates[1].utility == utility(get_task("LaMP-7"), output="rain on my bike", gold=gold)


def test_each_split_has_its_own_questions(training):
    _, train = read(training)
    _, dev = read(training, "dev")
    assert len(train) == len(dev) == 3


class TestWhoIsLeftOut:
    def test_users_who_have_not_agreed_are_counted_and_not_read(self, training, workspace, alice, bob):
        set_shared_training(workspace=workspace, policy="agreed")
        set_agreement(workspace=workspace, end_user=bob, agreed=True)
        feedback, samples = read(training)
        assert [sample.end_user_id for sample in samples] == [bob.pk]
        assert feedback.end_user_ids == {bob.pk}
        assert feedback.left_out["train"]["no_consent"] == 2

    def test_nobody_is_read_where_nobody_s_data_may_be(self, training, workspace):
        set_shared_training(workspace=workspace, policy="nobody")
        feedback, samples = read(training)
        assert (samples, feedback.left_out["train"]["no_consent"]) == ([], 3)

    def test_questions_without_a_member_s_prompt_or_answer_are_counted(self, training):
        Prediction.objects.filter(question__external_id="100", run__retriever="bm25").update(prompt="")
        Prediction.objects.filter(question__external_id="101", run__retriever="").delete()
        feedback, samples = read(training)
        assert [sample.question for sample in samples] == ["102"]
        assert feedback.left_out["train"]["incomplete"] == 2

    def test_an_erased_user_is_not_there_any_more(self, training, alice, bob):
        erase_end_user(workspace=alice.workspace, end_user=alice)
        _, samples = read(training)
        assert [sample.end_user_id for sample in samples] == [bob.pk]


class TestDigest:
    def test_the_same_feedback_has_the_same(self, training):
        assert digest(training) == digest(training)
        assert len(digest(training)) == 64

    @pytest.mark.parametrize("changed", [{"output": "other"}, {"prompt": "other"}], ids=str)
    def test_another_text_has_another(self, training, changed):
        before = digest(training)
        Prediction.objects.filter(question__external_id="100", run__retriever="bm25").update(**changed)
        assert digest(training) != before

    def test_so_has_what_was_learned_without_somebody(self, training, alice):
        before = digest(training)
        erase_end_user(workspace=alice.workspace, end_user=alice)
        assert digest(training) != before


class TestStanding:
    def stands(self, training):
        return feedback_stands(
            workspace=training.workspace,
            end_user_ids=self.feedback.end_user_ids,
            prediction_ids=self.feedback.prediction_ids,
        )

    @pytest.fixture(autouse=True)
    def _read(self, training):
        self.feedback, _ = read(training)

    def test_what_was_just_read_stands(self, training):
        assert self.stands(training)

    def test_not_after_an_erasure(self, training, alice):
        erase_end_user(workspace=alice.workspace, end_user=alice)
        assert not self.stands(training)

    def test_not_after_the_erasure_of_a_document_that_a_prompt_quotes(self, training, alice):
        document = tweets_of(alice)[0]
        entry = ProfileEntry.objects.get(end_user=alice, document=document)
        Prediction.objects.filter(end_user=alice).update(retrieved_document_ids=[document.pk], retrieved_scores=[1.0])
        erase_document(workspace=alice.workspace, end_user=alice, task="LaMP-7", client_id=entry.client_id)
        assert not self.stands(training)

    def test_not_when_somebody_takes_their_word_back(self, training, workspace):
        set_shared_training(workspace=workspace, policy="agreed")
        assert not self.stands(training)


def test_runs_that_are_gone_are_named(training):
    Run.objects.filter(retriever="bm25").update(state="failed", error="x")
    with pytest.raises(TrainingFailed, match="The feedback of bm25 on the train split of LaMP-7 is not there any more"):
        read(training)
