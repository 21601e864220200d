"""The page of one run."""

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from eval_app.models import Prediction, Run
from tests import people
from tests.eval_app.stored import a_run, answered_run, ended
from tests.training_app.adapters import facts, plan_of
from training_app.adapters import ensure_base_model, record_adapter
from users_app.models import Membership


def address(run):
    return f"/w/acme/runs/{run.pk}/"


@pytest.fixture
def trained(dev, alice, bob):
    """A PEFT run of Alice's and Bob's adapters."""
    run = answered_run(
        dev,
        ["a", "b", "c"],
        method="peft:8",
        base_model=ensure_base_model(name="some/t5", revision="1"),
        adapter_dtype="bfloat16",
        hyperparameters={"rank": 8, "epochs": 1},
        parameters={
            "num_beams": 1,
            "max_input_tokens": 512,
            "max_output_tokens": 128,
            "exact": False,
            "dtype": "float32",
        },
        hardware={"cores": 2},
        versions={"torch": "2"},
    )
    for user in (alice, bob):
        plan = plan_of(user, people.tweets_of(user))
        adapter = record_adapter(end_user=user, plan=plan, facts=facts(user.external_id))
        Prediction.objects.filter(run=run, end_user=user).update(adapter=adapter)
    return run


def test_it_says_with_what_where_and_how_well_it_was_made(browser, trained):
    context = browser.get(address(trained)).context
    assert context["heading"] == "PEFT r=8"
    settings = context["settings"]
    assert (settings["Data digest"], settings["Seed"], settings["Training: epochs"]) == (trained.split.digest, 0, 1)
    assert context["surroundings"] == {"Machine: cores": 2, "Version of torch": "2"}
    assert [name for name, _, _ in context["metrics"]] == ["rouge-1", "rouge-L"]


def test_its_loss_is_drawn_over_all_adapters(browser, trained):
    page = browser.get(address(trained))
    assert page.context["curve_data"]["mean"] == [2.0, 1.0]
    assert page.context["curve_data"]["adapters"] == 2
    assert 'id="loss-curve-data" type="application/json"' in page.content.decode()


def test_without_adapters_nothing_is_drawn_or_loaded(browser, dev):
    page = browser.get(address(a_run(dev))).content.decode()
    assert "Training loss" not in page
    assert "plotly" not in page


def test_it_names_the_experiments_that_use_it(browser, dev):
    run = answered_run(dev, ["a", "b", "c"])
    experiment = ended(dev, {"none": run})
    assert browser.get(address(run)).context["experiments"] == [experiment]


def test_an_imported_one_has_no_command(browser, dev):
    page = browser.get(address(answered_run(dev, ["a", "b", "c"], method="imported:mine")))
    assert page.context["command"] is None
    assert "no command here repeats it" in page.content.decode()


def test_an_error_shows_no_path_and_what_to_do(browser, dev):
    run = a_run(dev)
    Run.objects.filter(pk=run.pk).update(state=Run.State.FAILED, error="<b>Nothing</b> lies in /srv/models/gone.")
    page = browser.get(address(run)).content.decode()
    assert "&lt;b&gt;Nothing&lt;/b&gt; lies in gone." in page
    assert "Resume on the experiment's page" in page or "Resume on the experiment&#x27;s page" in page
    assert "/srv/models" not in page


def test_where_a_model_lies_is_told_to_superusers_alone(member, dev):
    run = a_run(dev, base_model=ensure_base_model(name="/srv/models/mine", revision="1"))
    get_user_model().objects.create_superuser("root", password="x")
    root = Client()
    root.force_login(get_user_model().objects.get(username="root"))
    assert "--base-model /srv/models/mine" in root.get(address(run)).context["command"].line
    page = member(Membership.Role.ADMIN).get(address(run))
    assert "/srv/models" not in page.content.decode()
    assert "“mine” is a folder of the server: write its path in its place." in page.context["command"].notes


def test_it_asks_the_database_a_bounded_number_of_times(browser, trained, django_assert_max_num_queries):
    with django_assert_max_num_queries(16):
        browser.get(address(trained))
