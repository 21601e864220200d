"""What an installation under fault is asked to do, and what has become of it. Runs in a process that has its Django."""

import json
import random
import sys
from itertools import count

from django.db import close_old_connections, connection, transaction

from jobs.models import Job
from jobs.services import JobSpec, enqueue_many
from tests import people
from tests.eval_app.stored import small_t5
from training_app import asking
from training_app.adapter_requests import plan_from_profile
from training_app.adapters import request_adapters
from training_app.models import Adapter, BaseModel, Generation
from users_app.models import EndUser
from workers import loaded
from workers.adapter_cache import fetch_adapter

WORKSPACE = "faults"
PEOPLE = 8
TWEETS = [*people.OF_ALICE, *people.OF_BOB, *people.OF_MALLORY]
_seeds = count(1)


def prepare():
    """People with documents, the small base model, and the table of effects."""
    space = people.workspace(WORKSPACE)
    for number in range(PEOPLE):
        people.person(space, f"person-{number}", [TWEETS[(number + at) % len(TWEETS)] for at in range(5)])
    small_t5()
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE test_effect (job_id bigint NOT NULL, pid int NOT NULL)")


def ask(*, jobs, trainings, generations, poison=0, epochs=2):
    """Ask for so many jobs altogether, in a mixed order; the last id before them."""
    last = Job.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    dice = random.Random(last)
    space = people.workspace(WORKSPACE)
    everyone = list(EndUser.objects.filter(workspace=space).order_by("pk"))
    # Whoever is poisoned is claimed with some who are not.
    names = ["test.record", "test.batch", *(["test.poisoned"] if poison else [])]
    specs = [
        JobSpec(kind=dice.choice(names), payload={"seconds": dice.choice([0, 0.01, 0.05])})
        for _ in range(jobs - trainings - generations - poison)
    ] + [JobSpec(kind="test.poisoned", payload={"poison": True}) for _ in range(poison)]
    dice.shuffle(specs)
    seed = next(_seeds)
    with transaction.atomic():
        enqueue_many(specs[: len(specs) // 2])
        request_adapters(plans=[_plan(everyone[n % PEOPLE], seed * 100 + n, epochs) for n in range(trainings)])
        questions = [_question(everyone[n % PEOPLE], n) for n in range(generations)]
        for at in range(0, len(questions), asking.QUESTIONS_MOST):
            asking.ask(workspace=space, questions=questions[at : at + asking.QUESTIONS_MOST], api_key_id=None)
        enqueue_many(specs[len(specs) // 2 :])
    return last


def _plan(end_user, seed, epochs):
    return plan_from_profile(
        workspace=end_user.workspace,
        end_user=end_user,
        task=people.TWEETS,
        base_model=BaseModel.objects.get(),
        hyperparameters={"epochs": epochs, "rank": 4, "max_input_tokens": 48, "max_output_tokens": 12},
        seed=seed,
    )


def _question(end_user, number):
    """A third by the base model alone, a third with documents, and a third as the profile and the adapters say."""
    method = ("none", "rag", "auto")[number % 3]
    return asking.question(
        end_user=end_user,
        task=people.TWEETS,
        fields={"text": TWEETS[number % len(TWEETS)]["text"]},
        method=method,
        max_output_tokens=4,
        num_beams=1,
    )


def told(*, after):
    """What jobs after that id have come to: states, effects and answers, adapters that were asked for and that load."""
    jobs = Job.objects.filter(pk__gt=after)
    with connection.cursor() as cursor:
        cursor.execute("SELECT job_id FROM test_effect WHERE job_id > %s ORDER BY job_id", [after])
        effects = [job_id for (job_id,) in cursor.fetchall()]
    done = jobs.filter(state="done")
    asked_for = list(done.filter(kind="generate").values_list("payload__generation_id", flat=True))
    answered = Generation.objects.filter(pk__in=asked_for, state="done").exclude(output=None)
    wanted = list(done.filter(kind="train_adapter").values_list("payload__identity", flat=True))
    adapters = list(Adapter.objects.filter(identity__in=wanted, withdrawn_at=None))
    return {
        "states": {state: jobs.filter(state=state).count() for state in set(jobs.values_list("state", flat=True))},
        "kinds": sorted(set(jobs.values_list("kind", flat=True))),
        "of_tests": list(done.filter(kind__startswith="test.").order_by("pk").values_list("pk", flat=True)),
        "effects": effects,
        "asked": len(asked_for),
        "answers": answered.count(),
        "wanted": sorted(wanted),
        "loaded": sorted(adapter.identity for adapter in adapters if _loads(adapter)),
        "errors": sorted(set(jobs.filter(state="failed").values_list("kind", "error_type"))),
    }


def _loads(adapter):
    """Whether its files are what was trained, to the digest, and fit the base model."""
    return bool(fetch_adapter(adapter, base=loaded.base_model(adapter.base_model, dtype=adapter.dtype)).tensors)


def schedule_sweeps():
    """A schedule like those that the admin makes: every second, one more sweep."""
    from django_celery_beat.models import IntervalSchedule, PeriodicTask

    every_second, _ = IntervalSchedule.objects.get_or_create(every=1, period=IntervalSchedule.SECONDS)
    PeriodicTask.objects.update_or_create(
        name="one more sweep", defaults={"task": "workers.sweep", "interval": every_second, "queue": "cpu"}
    )


def checkpoints():
    """The steps of each training's furthest checkpoint, by the adapter's identity."""
    from common.objects import get_store
    from training_app.object_keys import CHECKPOINTS, identity_of

    furthest = {}
    for info in get_store().list(f"{CHECKPOINTS}/"):
        done = int(info.key.rpartition("/")[2].partition("-")[0])
        furthest[identity_of(info.key)] = max(done, furthest.get(identity_of(info.key), 0))
    return furthest


def main():
    """Answer calls, one a line, until there are no more."""
    for line in sys.stdin:
        call = json.loads(line)
        close_old_connections()
        print(json.dumps(globals()[call["name"]](**call["arguments"])), flush=True)
