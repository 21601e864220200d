"""Quality against cost of an experiment's methods."""

import json
import re

import pytest

from eval_app.models import Experiment, Run
from eval_app.views.experiment_costs import PROCESSOR_WATTS, usual_watts
from tests.eval_app.stored import answered_run, ended
from tests.members import member_of

GOLDS = ["rain on my roses again", "my bike loves the muddy trail", "garden gloves gone again"]
COSTS = {"input_tokens": 30, "output_tokens": 9, "model_ms": 10.0, "retrieval_ms": None, "adapter_ms": None}


@pytest.fixture
def experiment(dev):
    """Nothing is cheap and bad, PEFT dear and good, RAG dearer than nothing and worse."""
    outputs = {"none": ["rain", "bike", "gloves"], "rag:bm25": ["x", "bike", "y"], "peft:8": GOLDS}
    runs = {method: answered_run(dev, given, method=method) for method, given in outputs.items()}
    told = {
        "none": COSTS,
        "rag:bm25": {**COSTS, "input_tokens": 300, "retrieval_ms": 5.0},
        "peft:8": {**COSTS, "adapter_ms": 2.0, "adapters": 2, "training_seconds": 7.2, "adapter_bytes": 3000},
    }
    for method, run in runs.items():
        Run.objects.filter(pk=run.pk).update(costs=told[method])
    return ended(dev, {**runs, "rag:contriever": "there is no encoder here"})


@pytest.fixture
def see(workspace):
    member = member_of(workspace)

    def page(experiment, query=""):
        answer = member.get(f"/w/{workspace.slug}/experiments/{experiment.pk}/costs/?{query}")
        assert answer.status_code == 200
        return answer

    return page


def row_of(answer, key):
    return next(row for row in answer.context["rows"] if row["method"].key == key)


def test_the_front_is_of_those_that_no_other_beats(experiment, see):
    assert see(experiment, "cost=prompt_tokens").context["front"] == ["peft:8"]
    assert see(experiment, "cost=training_seconds").context["front"] == ["none", "peft:8"]
    assert see(experiment, "task=average&cost=latency_ms").context["front"] == ["none", "peft:8"]


def test_costs_are_shown_and_unknown_ones_said_so(experiment, see):
    answer = see(experiment)
    costs = {measure.name: value for measure, value, _ in row_of(answer, "peft:8")["costs"]}
    assert (costs["training_seconds"], costs["adapter_bytes"], costs["prompt_tokens"]) == ("3.6", "1.5 kB", "10")
    assert costs["latency_ms"] == "12"
    assert "unknown" in answer.content.decode()


def test_a_method_that_did_not_run_is_left_out_and_says_why(experiment, see):
    row = row_of(see(experiment), "rag:contriever")
    assert (row["quality"], row["reason"], row["on_front"]) == (None, "there is no encoder here", False)


def test_the_plot_has_the_table_s_numbers(experiment, see):
    page = see(experiment, "cost=prompt_tokens").content.decode()
    found = re.search(r'<script id="cost-data" type="application/json">(.*?)</script>', page, re.DOTALL)
    plot = json.loads(found[1])
    assert {point["key"]: point["cost"] for point in plot["points"]} == {"none": 10, "rag:bm25": 100, "peft:8": 10}
    assert {point["key"]: point["quality"] for point in plot["points"]}["peft:8"] == 1.0


def test_users_and_power_can_be_chosen(experiment, see):
    row = row_of(see(experiment, "users=1000&watts=500&pue=2"), "peft:8")
    assert (row["hours"], row["stored"], row["kwh"]) == ("1", "1.5 MB", "1")


@pytest.mark.parametrize(
    "query",
    [
        "users=-1",
        "users=1e400",
        "users=nan",
        "users=" + "9" * 50,
        "watts=0&pue=99",
        "watts=x",
        "task=nonsense&cost=nonsense",
    ],
)
def test_what_makes_no_sense_is_ignored(experiment, see, query):
    answer = see(experiment, query)
    choice = answer.context["choice"]
    assert (choice.users, choice.power.watts, choice.task) == (1_000_000, PROCESSOR_WATTS, "LaMP-7")


def test_averages_are_of_relative_improvements(experiment, see):
    table = {row["method"].key: row["quality"] for row in see(experiment, "task=average").context["rows"]}
    assert table["none"] == 0
    assert table["peft:8"] > 0 > table["rag:bm25"]


def test_an_experiment_that_has_not_ended_says_so(experiment, see):
    Experiment.objects.update(report=None, state="active", finished_at=None)
    assert "has not ended" in see(experiment).content.decode()


@pytest.mark.parametrize(
    ("accelerator", "watts"),
    [
        ("NVIDIA A100-SXM4-80GB", 400),
        ("NVIDIA H100 80GB HBM3", 700),
        ("NVIDIA L40S", 350),
        ("NVIDIA GeForce RTX 4090", 450),
        ("something new", PROCESSOR_WATTS),
    ],
)
def test_a_known_accelerator_has_the_power_of_its_data_sheet(accelerator, watts):
    assert usual_watts({"accelerator": accelerator}) == watts
    assert usual_watts({}) == PROCESSOR_WATTS


def test_a_page_makes_few_queries(experiment, see, django_assert_max_num_queries):
    with django_assert_max_num_queries(12):
        see(experiment, "task=average")
