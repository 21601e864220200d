"""Trainings that stop on the way: they go on from where they were kept, and nothing of them outlives its use."""

import random
from contextlib import suppress

import pytest

from common.objects import ObjectStore, ObjectStoreUnavailable, get_store
from jobs.batches import Permanent
from jobs.models import Job
from tests import people
from tests.people import tweets_of
from tests.workers.asked import plan
from tests.workers.passes import a_gentle_stop, checkpoints, furthest_apart, job_of, run_pass, weights_of
from training_app.adapters import request_adapters
from training_app.models import Adapter
from training_app.object_keys import checkpoint_prefix
from users_app.models import Document

pytestmark = pytest.mark.usefixtures("in_process", "no_checkpoints")

# Ten steps for Alice, eight for Bob.
LEARNING = {"epochs": 5, "batch_size": 4, "learning_rate": 5e-4, "stored_dtype": "float32"}
BOB = {**LEARNING, "epochs": 8}


@pytest.fixture
def no_checkpoints():
    """An empty store before and after."""
    get_store().delete_prefix("checkpoints/")
    yield
    get_store().delete_prefix("checkpoints/")


@pytest.fixture
def kept_at_every_step(settings):
    settings.CHECKPOINT_SECONDS = 1e-9


def ask_for(end_user, **changed):
    wanted = plan(end_user, **{**LEARNING, **changed})
    request_adapters(plans=[wanted])
    return wanted.identity


def kill(batch):
    """As a process ends: nothing is settled."""
    for job in batch:
        job.lost = True
    raise SystemExit


def run_and_be_killed(*, after):
    """Run a pass whose process dies after some steps, unless it has ended; the attempts are forgiven."""
    with suppress(SystemExit):
        run_pass({after: kill})
    Job.objects.filter(state="running").update(state="waiting", claim=None, lease_until=None, attempts=0)


def steps_in_store(identity):
    prefix = checkpoint_prefix(identity=identity)
    return [int(key.removeprefix(prefix).partition("-")[0]) for key in checkpoints() if key.startswith(prefix)]


def test_a_gentle_stop_keeps_everyone_and_another_worker_goes_on_from_there(alice, bob):
    hers, his = ask_for(alice), ask_for(bob, **BOB)
    with a_gentle_stop() as stop:
        run_pass({3: stop})
    assert set(Job.objects.values_list("state", "attempts")) == {("waiting", 0)}
    assert (steps_in_store(hers), steps_in_store(his)) == ([3], [3])
    _, steps = run_pass()
    assert steps == 7
    adapters = {adapter.identity: adapter for adapter in Adapter.objects.all()}
    assert (adapters[hers].steps, len(adapters[hers].loss_curve), adapters[his].steps) == (10, 10, 8)
    assert checkpoints() == []


def test_who_goes_on_among_others_learns_what_it_would_have_learned_at_once(alice, bob):
    at_once = ask_for(alice, exact=True, stored_dtype="float32")
    run_pass()
    hers = ask_for(alice)
    with a_gentle_stop() as stop:
        run_pass({4: stop})
    ask_for(bob)
    run_pass()
    one, other = (weights_of(Adapter.objects.get(identity=identity)) for identity in (at_once, hers))
    assert furthest_apart(one, other) < 1e-5


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.usefixtures("kept_at_every_step")
def test_in_exact_mode_interruptions_at_random_points_change_nothing(alice, seed):
    exact = {"exact": True, "learning_rate": 3e-2}
    ask_for(alice, **exact)
    run_pass()
    at_once = Adapter.objects.get()
    Adapter.objects.all().delete()
    ask_for(alice, **exact)
    draw = random.Random(seed)
    interruptions = 0
    while not Adapter.objects.exists():
        interruptions += 1
        if draw.random() < 0.5:
            run_and_be_killed(after=draw.randint(1, 5))
        else:
            with a_gentle_stop() as stop:
                run_pass({draw.randint(1, 5): stop})
    assert interruptions > 2
    again = Adapter.objects.get()
    assert (again.content_digest, again.loss_curve) == (at_once.content_digest, at_once.loss_curve)


@pytest.mark.usefixtures("kept_at_every_step")
def test_after_a_kill_no_more_is_repeated_than_since_the_last_checkpoint(alice, bob):
    identities = ask_for(alice), ask_for(bob, **BOB)
    run_and_be_killed(after=6)
    kept = [max(steps_in_store(identity)) for identity in identities]
    # One is written at a time, in turn.
    assert all(3 <= steps <= 6 for steps in kept)
    _, steps = run_pass()
    assert steps == 10 - kept[0]


def test_nothing_is_kept_before_its_time(alice):
    ask_for(alice)
    run_pass({9: lambda _: None})
    ask_for(alice, epochs=6)
    with pytest.raises(SystemExit):
        run_pass({9: kill})
    assert checkpoints() == []


@pytest.mark.usefixtures("kept_at_every_step")
class TestWhatLiesInTheStore:
    def test_an_older_claims_late_checkpoint_is_no_obstacle(self, alice):
        """It is whole and of the same training, so whoever finds it further may go on from it."""
        identity = ask_for(alice)
        run_and_be_killed(after=2)
        [early], [done] = checkpoints(), steps_in_store(identity)
        data = get_store().get_bytes(early, max_bytes=1 << 24)
        with a_gentle_stop() as stop:
            run_pass({4: stop})
        get_store().put_bytes(early, data)
        assert len(checkpoints()) == 2
        _, steps = run_pass()
        assert steps == 10 - done - 4
        assert checkpoints() == []

    @pytest.mark.parametrize("damage", [b"", b"no checkpoint", None], ids=["empty", "foreign", "cut"])
    def test_a_damaged_one_is_deleted_and_the_training_begins_anew(self, alice, damage):
        identity = ask_for(alice)
        run_and_be_killed(after=4)
        [key] = checkpoints()
        whole = get_store().get_bytes(key, max_bytes=1 << 24)
        get_store().put_bytes(key, whole[:-100] if damage is None else damage)
        _, steps = run_pass()
        assert steps == 10
        assert (Adapter.objects.get().identity, checkpoints()) == (identity, [])

    def test_another_trainings_is_not_taken(self, alice, bob):
        hers, his = ask_for(alice), ask_for(bob, **BOB)
        run_and_be_killed(after=4)
        theirs = next(key for key in checkpoints() if his in key)
        stolen = get_store().get_bytes(theirs, max_bytes=1 << 24)
        get_store().delete_prefix(checkpoint_prefix(identity=hers))
        get_store().put_bytes(checkpoint_prefix(identity=hers) + "000000009-ff", stolen)
        _, steps = run_pass()
        assert steps == 10

    def test_one_that_is_too_large_is_not_read(self, alice):
        ask_for(alice)
        run_and_be_killed(after=4)
        [key] = checkpoints()
        get_store().put_bytes(key, b"x" * (1 << 23))
        _, steps = run_pass()
        assert steps == 10


@pytest.mark.usefixtures("kept_at_every_step")
class TestWhatIsForgotten:
    def test_of_who_is_cancelled(self, alice, bob):
        ask_for(alice)
        his = ask_for(bob, **BOB)
        run_pass({5: lambda batch: setattr(job_of(batch, alice), "cancel_requested", True)})
        assert Adapter.objects.get().identity == his
        assert checkpoints() == []

    def test_of_whose_document_has_gone_and_no_further_step_is_made(self, alice, bob):
        ask_for(alice)
        gone = []

        def erase(batch):
            Document.objects.filter(pk=tweets_of(alice)[0].pk).delete()
            gone.append(job_of(batch, alice))

        _, steps = run_pass({3: erase})
        job = Job.objects.get()
        assert (job.state, job.error_type) == ("failed", f"{Permanent.__module__}.Permanent")
        assert steps < 10
        assert checkpoints() == []

    def test_of_who_fails_for_good(self, alice):
        ask_for(alice, learning_rate=1e15)
        run_pass()
        assert Job.objects.get().state == "failed"
        assert checkpoints() == []

    def test_nothing_of_who_is_tried_again(self, alice, settings, monkeypatch):
        settings.JOBS_BACKOFF_SECONDS = 100
        identity = ask_for(alice)

        def away(*_, **__):
            raise ObjectStoreUnavailable("away")

        monkeypatch.setattr("workers.training.upload_folder", away)
        run_pass()
        assert Job.objects.get().state == "waiting"
        assert steps_in_store(identity) in ([9], [10])


@pytest.mark.usefixtures("kept_at_every_step")
def test_a_store_that_is_away_costs_checkpoints_and_no_training(alice, monkeypatch, caplog):
    put = ObjectStore.put_bytes

    def away(store, key, *rest, **more):
        if key.startswith("checkpoints/"):
            raise ObjectStoreUnavailable("away")
        return put(store, key, *rest, **more)

    monkeypatch.setattr(ObjectStore, "put_bytes", away)
    ask_for(alice)
    _, steps = run_pass()
    assert (steps, Job.objects.get().state, checkpoints()) == (10, "done", [])
    assert "was not stored: ObjectStoreUnavailable" in caplog.text
    assert not any(tweet["text"] in caplog.text for tweet in people.OF_ALICE)


def test_a_checkpoint_names_no_person(alice):
    ask_for(alice)
    with a_gentle_stop() as stop:
        run_pass({2: stop})
    [key] = checkpoints()
    data = get_store().get_bytes(key, max_bytes=1 << 24)
    assert not any(word in data for word in (b"alice", b"tulips", b"acme"))
