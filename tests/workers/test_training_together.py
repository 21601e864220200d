"""Many users in one pass of the training job: each learns what it would alone, and what ends one ends that alone."""

import pytest

from common.objects import get_store
from jobs.heart import heart
from jobs.models import Job
from tests import people
from tests.people import tweets_of
from tests.workers.asked import plan
from tests.workers.passes import furthest_apart, job_of, run_pass, weights_of
from training_app.adapters import request_adapters
from training_app.models import Adapter
from users_app.models import Document, EndUser
from workers import training

pytestmark = pytest.mark.usefixtures("in_process")

# A few steps at a low rate, and what is compared is kept exactly. (Where a gradient is zero but for the last digits of
# a sum, AdamW takes these for a direction and makes nearly a whole step of them: one element of ten thousand, here.)
LEARNING = {"epochs": 4, "batch_size": 4, "learning_rate": 3e-4, "stored_dtype": "float32"}
RANKS = {"alice": 8, "bob": 2, "mallory": 5, "carol": 8, "dave": 4}


@pytest.fixture
def five(alice, bob, mallory):
    """Five people of two workspaces, with profiles of different sizes."""
    carol = people.person(alice.workspace, "carol", people.OF_MALLORY + people.OF_ALICE + people.OF_BOB)
    dave = people.person(mallory.workspace, "dave", people.OF_BOB[:1])
    return {user.external_id: user for user in (alice, bob, mallory, carol, dave)}


@pytest.fixture(scope="module")
def learned_alone():
    """Weights by name, of those who were trained alone before: they are the same in every test."""
    return {}


@pytest.fixture
def alone(five, learned_alone):
    """The weights that each of the five learns in passes of its own."""

    def train(name):
        if name in learned_alone:
            return learned_alone[name]
        wanted = plan(five[name], exact=True, **{**LEARNING, "rank": RANKS[name]})
        request_adapters(plans=[wanted])
        claimed, _ = run_pass()
        assert len(claimed) == 1
        learned_alone[name] = weights_of(Adapter.objects.get(identity=wanted.identity))
        return learned_alone[name]

    return train


def ask_for_all(five, **changed):
    """Ask for the adapters of all five; identity by name."""
    plans = {
        name: plan(user, **{**LEARNING, "rank": RANKS[name], **changed.get(name, {})}) for name, user in five.items()
    }
    request_adapters(plans=plans.values())
    return {name: wanted.identity for name, wanted in plans.items()}


def trained(identities):
    """Adapter by name, of those that stand."""
    standing = {adapter.identity: adapter for adapter in Adapter.objects.all()}
    return {name: standing[identity] for name, identity in identities.items() if identity in standing}


def state_of(end_user):
    return Job.objects.get(end_user_id=end_user.pk).state


def test_users_of_all_workspaces_sizes_and_ranks_share_a_pass_and_learn_what_each_would_alone(five, alone):
    identities = ask_for_all(five)
    claimed, steps = run_pass()
    together = trained(identities)
    assert len(claimed) == 5
    assert steps == max(adapter.steps for adapter in together.values()) > min(a.steps for a in together.values())
    for name, adapter in together.items():
        assert (adapter.rank, adapter.exact, adapter.steps) == (RANKS[name], False, len(adapter.loss_curve))
        assert furthest_apart(weights_of(adapter), alone(name)) < 1e-5
    assert furthest_apart(alone("alice"), alone("carol")) > 1e-3


def test_an_adapters_time_is_its_share_of_the_passes(five):
    adapters = trained(ask_for_all(five))
    assert adapters == {}
    run_pass()
    seconds = dict(Adapter.objects.values_list("end_user__external_id", "training_seconds"))
    assert seconds["dave"] < seconds["alice"] < seconds["carol"]


class TestOneAmongFive:
    @pytest.fixture
    def the_others_are_untouched(self, five, alone):
        def check(identities, *, without):
            standing = trained(identities)
            assert standing.keys() == five.keys() - {without}
            for name, adapter in standing.items():
                assert furthest_apart(weights_of(adapter), alone(name)) < 1e-5

        return check

    def test_who_diverges(self, five, the_others_are_untouched):
        identities = ask_for_all(five, bob={"learning_rate": 1e15})
        run_pass()
        job = Job.objects.get(end_user_id=five["bob"].pk)
        assert (job.state, job.attempts) == ("failed", 1)
        assert "the loss is not finite at step" in job.error_message
        the_others_are_untouched(identities, without="bob")

    def test_who_is_cancelled(self, five, the_others_are_untouched):
        identities = ask_for_all(five)
        run_pass({2: lambda batch: setattr(job_of(batch, five["alice"]), "cancel_requested", True)})
        assert state_of(five["alice"]) == "cancelled"
        the_others_are_untouched(identities, without="alice")

    def test_whom_another_worker_has_taken_over(self, five, the_others_are_untouched):
        identities = ask_for_all(five)
        run_pass({2: lambda batch: setattr(job_of(batch, five["carol"]), "lost", True)})
        assert state_of(five["carol"]) == "running"
        the_others_are_untouched(identities, without="carol")

    def test_who_is_erased_meanwhile(self, five, the_others_are_untouched):
        identities = ask_for_all(five)
        run_pass({2: lambda _: EndUser.objects.filter(pk=five["mallory"].pk).delete()})
        assert state_of(five["mallory"]) == "failed"
        the_others_are_untouched(identities, without="mallory")

    def test_who_loses_a_document_meanwhile(self, five, the_others_are_untouched):
        identities = ask_for_all(five)
        gone = tweets_of(five["bob"])[1]
        run_pass({2: lambda _: Document.objects.filter(pk=gone.pk).delete()})
        assert state_of(five["bob"]) == "failed"
        the_others_are_untouched(identities, without="bob")

    def test_whose_documents_had_gone_before(self, five, the_others_are_untouched):
        identities = ask_for_all(five)
        Document.objects.filter(pk=tweets_of(five["dave"])[0].pk).delete()
        run_pass()
        assert state_of(five["dave"]) == "failed"
        the_others_are_untouched(identities, without="dave")

    def test_whose_files_cannot_be_stored_is_tried_again(self, five, the_others_are_untouched, monkeypatch, settings):
        identities = ask_for_all(five)
        upload = training.upload_folder

        def refuse(store, *, folder, prefix):
            if identities["alice"] in prefix:
                raise OSError("no space left")
            return upload(store, folder=folder, prefix=prefix)

        settings.JOBS_BACKOFF_SECONDS = 100
        monkeypatch.setattr(training, "upload_folder", refuse)
        run_pass()
        assert state_of(five["alice"]) == "waiting"
        Job.objects.filter(state="waiting").delete()
        the_others_are_untouched(identities, without="alice")


class TestSlots:
    @pytest.fixture(autouse=True)
    def two_slots(self, settings):
        settings.TRAINING_SLOTS = 2

    def test_whoever_waits_takes_the_slot_of_who_has_ended(self, five, alone):
        identities = ask_for_all(five)
        _, steps = run_pass()
        adapters = trained(identities)
        assert adapters.keys() == five.keys()
        assert set(Job.objects.values_list("state", "attempts")) == {("done", 1)}
        # Two at a time, and no step of anybody's while a slot stood empty that somebody waited for.
        assert steps < sum(adapter.steps for adapter in adapters.values())
        for name, adapter in adapters.items():
            assert furthest_apart(weights_of(adapter), alone(name)) < 1e-5

    def test_who_is_asked_for_while_the_pass_runs_joins_it(self, five, alice, bob):
        late = plan(bob, **LEARNING)
        request_adapters(plans=[plan(alice, **{**LEARNING, "epochs": 2}), plan(five["carol"], **LEARNING)])
        run_pass({1: lambda _: request_adapters(plans=[late])})
        assert Adapter.objects.get(identity=late.identity).end_user == bob
        assert set(Job.objects.values_list("state", flat=True)) == {"done"}

    def test_a_pass_holds_no_more_jobs_than_it_has_slots(self, five):
        ask_for_all(five)
        running = []
        run_pass({1: lambda _: running.append(Job.objects.filter(state="running").count())})
        assert running == [2]

    def test_no_more_start_while_somebody_waits_for_an_answer_of_this_process(self, five, alice, monkeypatch):
        from tests.workers.asked import ask

        monkeypatch.setattr(heart, "queues", ("cpu", "model", "training"))
        ask_for_all(five)
        run_pass({1: lambda _: ask(alice)})
        assert Job.objects.filter(kind="train_adapter", state="done").count() == 2
        assert Job.objects.filter(kind="train_adapter", state="waiting").count() == 3

    def test_who_waits_for_another_process_holds_up_no_training(self, five, alice, monkeypatch):
        from tests.workers.asked import ask

        monkeypatch.setattr(heart, "queues", ("training",))
        ask_for_all(five)
        run_pass({1: lambda _: ask(alice)})
        assert Job.objects.filter(kind="train_adapter", state="done").count() == 5

    def test_an_exact_adapter_is_trained_in_a_pass_of_its_own(self, alice, bob):
        request_adapters(plans=[plan(alice, exact=True, **LEARNING), plan(bob, exact=True, **LEARNING)])
        request_adapters(plans=[plan(alice, **LEARNING), plan(bob, **LEARNING)])
        assert [len(run_pass()[0]) for _ in range(3)] == [1, 1, 2]
        assert sorted(Adapter.objects.values_list("exact", flat=True)) == [False, False, True, True]


def test_a_base_model_that_cannot_be_loaded_costs_everyone_an_attempt_and_nobody_the_company(five, monkeypatch):
    def unavailable(*_, **__):
        raise OSError("no such host")

    ask_for_all(five)
    with monkeypatch.context() as patch:
        patch.setattr(training.loaded, "base_model", unavailable)
        run_pass()
    assert set(Job.objects.values_list("state", "attempts", "alone")) == {("waiting", 1, False)}
    claimed, _ = run_pass()
    assert len(claimed) == 5


def test_each_job_tells_its_own_steps_and_loss(five, alice, bob):
    ask_for_all(five)
    seen = []
    run_pass({4: lambda batch: seen.extend(job_of(batch, user).take_progress() for user in (alice, five["carol"]))})
    assert [(one.done, one.total) for one in seen] == [(3, 8), (3, 12)]
    assert all(one.message.startswith("training, loss ") for one in seen)
    assert seen[0].message != seen[1].message
    ended = Job.objects.get(end_user_id=bob.pk)
    assert (ended.progress_done, ended.progress_total) == (4, 4)


def test_nothing_is_left_of_a_pass(five):
    ask_for_all(five)
    run_pass()
    assert heart.holds() == 0
    assert list(get_store().list("checkpoints/")) == []
