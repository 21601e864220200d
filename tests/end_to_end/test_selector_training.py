"""A selector is trained by its command: asked for without consent, killed on the way, and then used up to its end."""

import pytest

from retrieval_app.object_keys import MODEL_CHECKPOINTS
from tests.end_to_end.installation import Installation, kill
from tests.end_to_end.test_training_killed import wait_until

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

TASKS = "LaMP-3,LaMP-7"
STORED = f"[info.key for info in __import__('common.objects', fromlist=['x']).get_store().list('{MODEL_CHECKPOINTS}/')]"
JOB = "list(Job.objects.filter(kind='train_selector').values_list('state', 'attempts', 'progress_done'))"
MODELS = "list(__import__('retrieval_app.models', fromlist=['x']).TrainedModel.objects.values_list('steps', 'tasks'))"
TRAINING = (
    *("train_selector", "--workspace", "lab", "--dataset", "made", "--reads", "pre", "--base-model", "small"),
    *(
        "--epochs",
        "400",
        "--batch-size",
        "8",
        "--learning-rate",
        "1e-4",
        "--max-output-tokens",
        "16",
        "--num-beams",
        "1",
    ),
    *("--workers", "1"),
)


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    made = Installation(tmp_path_factory.mktemp("installation"), {"CHECKPOINT_SECONDS": "1"})
    data = made.var / "data"
    made.run("lamp", "synthesize", "--out", data, "--users", "10", "--seed", "3", "--tasks", TASKS, "--drift", "0.5")
    for task in TASKS.split(","):
        folder = data / task.replace("-", "_")
        for split in ("train", "dev"):
            files = ("--questions", folder / f"{split}_questions.json", "--outputs", folder / f"{split}_outputs.json")
            made.run("import_lamp", "--workspace", "lab", "--dataset", "made", "--split", split, *files)
    yield made
    made.down()


def test_without_consent_it_says_what_to_change(installation):
    refused = installation.run(*TRAINING, expect=2)
    assert "has agreed to shared training" in refused
    installation.run("shared_training", "--workspace", "lab", "everyone")


def test_a_killed_one_goes_on_from_its_last_checkpoint_when_workers_are_back(installation):
    command = installation.start(*TRAINING)
    wait_until(lambda: len(installation.ask(STORED)) > 0 and installation.ask(JOB)[0][2], seconds=250)
    for worker in installation.workers():
        kill(worker)
    kill(command)
    command.communicate()
    [kept, *_] = sorted((int(key.rpartition("/")[2][:9]) for key in installation.ask(STORED)), reverse=True)
    assert kept > 0
    # The same is under way, and whoever brings workers along takes it further.
    assert "under way already" in installation.run(*TRAINING, expect=2)
    again = installation.start(*TRAINING, "--seed", "1")
    # Its lease runs out after two minutes; what a second attempt first says of itself is where it began.
    seen = wait_until(
        lambda: [done for _, attempts, done in installation.ask(JOB) if attempts == 2 and done is not None],
        seconds=250,
    )
    assert min(seen) >= kept
    out, err = again.communicate(timeout=300)
    assert again.returncode == 0, out + err
    assert "“rag:rspg-pre” uses it from now on" in out
    tasks = [tasks for _, tasks in installation.ask(MODELS)]
    assert tasks.count(["LaMP-3", "LaMP-7"]) == len(tasks) > 0
