"""Trainings whose worker is killed go on from their checkpoints in another one."""

import time

import pytest

from tests.end_to_end.installation import Installation, kill
from training_app.object_keys import CHECKPOINTS, identity_of

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

USERS, EPOCHS = 4, 600
# Progress is written twice a second, and checkpoints once a second, of one user after the other.
CHECKPOINT_SECONDS = 1.0
STORED = f"[info.key for info in __import__('common.objects', fromlist=['x']).get_store().list('{CHECKPOINTS}/')]"
TRAININGS = "list(Job.objects.filter(kind='train_adapter').order_by('pk').values_list("
EXPERIMENT = (
    *("run_experiment", "--workspace", "lab", "--name", "killed", "--dataset", "made", "--split", "dev"),
    *("--base-model", "small", "--methods", "peft:4", "--epochs", str(EPOCHS), "--max-output-tokens", "8"),
    *("--workers", "1"),
)


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    made = Installation(tmp_path_factory.mktemp("installation"), {"CHECKPOINT_SECONDS": str(CHECKPOINT_SECONDS)})
    data = made.var / "data"
    made.run("lamp", "synthesize", "--out", data, "--users", str(USERS), "--seed", "3", "--tasks", "LaMP-7")
    questions, outputs = data / "LaMP_7" / "dev_questions.json", data / "LaMP_7" / "dev_outputs.json"
    where = ("--workspace", "lab", "--dataset", "made", "--split", "dev")
    made.run("import_lamp", *where, "--questions", questions, "--outputs", outputs)
    yield made
    made.down()


def wait_until(condition, *, seconds):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"did not come true within {seconds} s"
        time.sleep(0.5)
    return found


def furthest(keys):
    """Steps of each adapter's last checkpoint: one that was killed between writing and deleting leaves two."""
    steps = {}
    for key in keys:
        identity, done = identity_of(key), int(key.rpartition("/")[2].partition("-")[0])
        steps[identity] = max(done, steps.get(identity, 0))
    return steps


def test_users_of_a_killed_worker_go_on_from_their_last_checkpoint(installation):
    command = installation.start(*EXPERIMENT)
    wait_until(lambda: len(furthest(installation.ask(STORED))) == USERS, seconds=300)
    for worker in installation.workers():
        kill(worker)
    kill(command)
    command.communicate()
    kept = sorted(furthest(installation.ask(STORED)).values())
    assert len(kept) == USERS
    assert kept[0] > 0
    before = installation.ask(TRAININGS + "'progress_done', flat=True))")

    again = installation.start(*EXPERIMENT)
    # Their leases run out after two minutes; what a second attempt first says of itself is where it began.
    seen = wait_until(
        lambda: [done for done, attempts in installation.ask(TRAININGS + "'progress_done', 'attempts'))")
                 if attempts == 2 and done is not None],
        seconds=400,
    )  # fmt: skip
    assert min(seen) >= kept[0]
    # The most that any of them had done is repeated for no longer than a few seconds' worth of steps.
    assert max(before) - kept[0] < 0.5 * max(before) + 30
    out, err = again.communicate(timeout=600)
    assert again.returncode == 0, out + err

    steps = installation.ask("[[a.steps, len(a.loss_curve), a.training_seconds > 0] for a in Adapter.objects.all()]")
    assert [made == curve > max(kept) and timed for made, curve, timed in steps] == [True] * USERS
    assert installation.ask(STORED) == []
    assert installation.ask(TRAININGS + "'state', 'attempts'))") == [["done", 2]] * USERS
