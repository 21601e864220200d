"""Workers that are told to stop keep what they have and give back what they hold; another one goes on from there."""

import signal
import time

import pytest

from tests.end_to_end.faults.settings import JOBS_STOP_FORCE_SECONDS

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

# So long that a stop comes in the middle, also where the machine is quick.
TRAININGS, EPOCHS = 6, 200
LEARNING = "kind = 'train_adapter' AND state = 'running' AND progress_done >= 2"
SEEN_SECONDS = 300.0
# Whoever has not looked up by then is ended.
BOUND_SECONDS = JOBS_STOP_FORCE_SECONDS + 5


@pytest.fixture
def load(installation):
    made = installation.load(jobs=TRAININGS + 150, trainings=TRAININGS, generations=150, epochs=EPOCHS)
    made.until(LEARNING, count=2)
    made.until("kind = 'generate' AND state = 'done'", count=10)
    return made


def kept_and_gone_on_from(installation, load):
    """The steps of every checkpoint of this load, each of which the training that finds it begins at or after."""
    own = {
        identity
        for (identity,) in installation.ask(
            "SELECT payload->>'identity' FROM jobs_job WHERE id > %s AND kind = 'train_adapter'", load.after
        )
    }
    # What a worker killed in an earlier test has left is swept later.
    kept = {identity: steps for identity, steps in installation.call("checkpoints").items() if identity in own}
    assert kept
    installation.staff()
    seen = {}
    until = time.monotonic() + SEEN_SECONDS
    while not seen.keys() >= kept.keys():
        assert time.monotonic() < until, f"seen {len(seen)} of {len(kept)} trainings"
        rows = installation.ask(
            "SELECT payload->>'identity', progress_done FROM jobs_job WHERE id > %s AND kind = 'train_adapter' "
            "AND progress_done IS NOT NULL AND state <> 'waiting'",
            load.after,
        )
        for identity, done in rows:
            seen.setdefault(identity, done)
        time.sleep(0.1)
    return kept, {identity: seen[identity] for identity in kept}


def test_in_the_middle_of_training_and_answering(installation, load):
    assert installation.dismiss() < BOUND_SECONDS
    assert load.count("state IN ('running', 'failed', 'cancelled')") == 0
    assert load.count("state = 'waiting'") > 0
    assert load.count("state = 'waiting' AND attempts > 0") == 0
    kept, seen = kept_and_gone_on_from(installation, load)
    assert min(kept.values()) >= 2
    assert all(seen[identity] >= kept[identity] for identity in kept)
    load.ended()
    assert load.count("attempts <> 1") == 0


def test_while_the_database_is_away(installation, load):
    """They cannot give back what they hold, so its leases run out; what was learned is kept all the same."""
    installation.kill("postgres", how=signal.SIGINT)
    took = installation.dismiss()
    installation.revive()
    assert took < BOUND_SECONDS
    assert load.count("state IN ('failed', 'cancelled')") == 0
    kept, seen = kept_and_gone_on_from(installation, load)
    assert all(seen[identity] >= kept[identity] for identity in kept)
    load.ended()
    assert load.count("attempts > 2") == 0
