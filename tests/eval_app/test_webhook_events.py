"""Webhooks hear of experiments that have ended, however that was."""

import pytest

from eval_app.experiments import cancel_experiment, step_ended
from eval_app.models import Experiment
from eval_app.webhook_events import OF_EXPERIMENTS
from jobs.models import Job
from tests import people
from tests.eval_app.stored import start
from tests.webhooks import webhook
from users_app.models import WebhookDelivery

URL = "https://93.184.216.34/"


@pytest.fixture
def told(workspace):
    """What an endpoint that listens for experiments is to be told: how each of them ended."""
    webhook(workspace, URL, event_types=["experiment.finished"])
    webhook(people.workspace("elsewhere"), URL, event_types=["experiment.finished"])

    def told():
        found = WebhookDelivery.objects.order_by("pk").values_list("endpoint__workspace__slug", "subject_id", "outcome")
        return list(found)

    return told


def test_of_one_that_is_done(told, dev, in_process):
    experiment = start(dev, "none")
    in_process()
    assert told() == [("acme", experiment.pk, "done")]


def test_of_one_that_was_cancelled_once(told, dev):
    experiment = start(dev, "none")
    for _ in range(2):
        cancel_experiment(experiment=experiment)
    assert told() == [("acme", experiment.pk, "cancelled")]


def test_of_one_whose_step_failed(told, dev):
    experiment = start(dev, "none")
    Job.objects.filter(kind="advance_experiment").update(
        state="failed", error_type="E", error_message="It broke.", finished_at="2024-01-01T00:00Z"
    )
    step_ended(f"experiment:{experiment.pk}")
    assert told() == [("acme", experiment.pk, "failed")]
    assert Experiment.objects.get().state == "failed"


def test_it_says_which_and_how_and_where_more_is(workspace, dev, in_process):
    experiment = start(dev, "none")
    in_process()
    said = OF_EXPERIMENTS.read(workspace, experiment.pk, "done")
    assert said.data == {
        "id": experiment.pk,
        "name": experiment.name,
        "state": "done",
        "url": f"/api/v1/experiments/{experiment.pk}",
    }


def test_nothing_is_said_of_anothers_or_of_one_that_goes_on(workspace, mallory, dev, in_process):
    experiment = start(dev, "none")
    assert OF_EXPERIMENTS.read(workspace, experiment.pk, "done") is None
    in_process()
    assert OF_EXPERIMENTS.read(mallory.workspace, experiment.pk, "done") is None
