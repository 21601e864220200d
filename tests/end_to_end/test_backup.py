"""A backup of one installation, taken while it is in use, restored into one with empty servers of its own."""

import json

import pytest

from tests.end_to_end.installation import Installation

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

EXPERIMENT = (
    *("run_experiment", "--workspace", "lab", "--name", "kept", "--dataset", "made", "--split", "dev"),
    *("--base-model", "small", "--methods", "none,rag:bm25,peft:4", "--epochs", "2", "--max-output-tokens", "12"),
)
SCHEDULE = """
from django_celery_beat.models import CrontabSchedule, PeriodicTask
nightly = CrontabSchedule.objects.create(minute="30", hour="3")
PeriodicTask.objects.create(name="retrain at night", task="x", crontab=nightly, kwargs='{"policy": 7}', enabled=False)
"""
# By the way of the queue: the row of a generation, a job, and a worker's handler in this process.
ANSWERS = """
import json
from jobs.runner import run_waiting
from tests.workers.asked import ask
from training_app.models import Adapter, Generation
from workers import generating
search = {"num_beams": 4, "max_output_tokens": 12, "exact": True, "dtype": "float32"}
asked = [ask(one.end_user, adapter=one, parameters=search) for one in Adapter.objects.order_by("pk")]
run_waiting(("generate",))
made = [Generation.objects.get(pk=one.pk) for one in asked]
print(json.dumps([[one.output, one.sequence_score] for one in made]))
"""
ADAPTERS = "list(Adapter.objects.order_by('pk').values_list('identity', 'content_digest', 'object_prefix'))"
USERS = (
    "list(__import__('users_app.models', fromlist=['x']).EndUser.objects.order_by('pk')"
    ".values_list('workspace__slug', 'external_id'))"
)
SCHEDULES = (
    "list(__import__('django_celery_beat.models', fromlist=['x']).PeriodicTask.objects.order_by('pk')"
    ".values_list('name', 'crontab__hour', 'kwargs', 'enabled'))"
)
TABLE = ("export_table", "--workspace", "lab", "--name", "kept", "--format", "json")


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    made = Installation(tmp_path_factory.mktemp("installation"))
    data = made.var / "data"
    made.run("lamp", "synthesize", "--out", data, "--users", "4", "--seed", "3", "--tasks", "LaMP-7")
    questions, outputs = data / "LaMP_7" / "dev_questions.json", data / "LaMP_7" / "dev_outputs.json"
    where = ("--workspace", "lab", "--dataset", "made", "--split", "dev")
    made.run("import_lamp", *where, "--questions", questions, "--outputs", outputs)
    made.run(*EXPERIMENT)
    made.run("shell", "-v0", "-c", SCHEDULE)
    yield made
    made.down()


@pytest.fixture(scope="module")
def restored(installation, tmp_path_factory):
    folder = tmp_path_factory.mktemp("backups") / "first"
    installation.run("backup", "--to", folder)
    made = Installation(tmp_path_factory.mktemp("restored"))
    made.run("restore", "--from", folder)
    yield made
    made.down()


def test_the_table_is_the_same(installation, restored):
    table = restored.run(*TABLE)
    assert table == installation.run(*TABLE)
    assert len(json.loads(table)["rows"]) == 2


def test_users_adapters_and_schedules_are_the_same(installation, restored):
    for question in (USERS, ADAPTERS, SCHEDULES):
        found = restored.ask(question)
        assert found == installation.ask(question)
        assert found != []


def test_adapters_load_and_answer_the_same(installation, restored):
    answers = json.loads(restored.run("shell", "-v0", "-c", ANSWERS).splitlines()[-1])
    assert answers == json.loads(installation.run("shell", "-v0", "-c", ANSWERS).splitlines()[-1])
    assert len(answers) == 4


def test_a_restored_installation_works_on(restored):
    restored.run(*EXPERIMENT[:4], "again", *EXPERIMENT[5:], "--seed", "1")
    assert restored.ask("Experiment.objects.get(name='again').state") == "done"
