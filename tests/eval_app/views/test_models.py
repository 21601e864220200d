"""The page of a workspace's selectors and encoders, and the part of it that follows trainings."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.eval_app.trained import a_job_that_trains, a_trained_model, a_training, at_work
from tests.people import questions_of, split_of
from users_app.models import Membership
from users_app.shared_training import set_shared_training

MODELS = "/w/acme/models/"
PART = {"HX-Request": "true"}


def text(answer):
    assert answer.status_code == 200, answer.status_code
    return answer.content.decode()


def shown(browser, address=MODELS):
    return text(browser.get(address))


@pytest.fixture
def dataset(dev):
    return dev.dataset


def test_a_model_stands_with_what_it_gains_and_how_many_took_part(browser, workspace, alice, bob):
    a_trained_model(workspace, alice, bob)
    page = shown(browser)
    assert "<strong>0.550</strong>" in page
    assert "best single 0.500 (BM25), oracle 0.700" in page
    assert ('<td class="number">2</td>' in page, "ready" in page, "Train anew" in page) == (True, True, False)
    assert ("alice" in page, "bob" in page) == (False, False)


def test_those_that_came_with_lamppost_say_so_and_have_nobody(browser, workspace):
    a_trained_model(None, erasures=0)
    page = shown(browser)
    assert ("came with Lamppost" in page, "Train anew" in page) == (True, False)


def test_another_workspace_s_are_not_there(browser, workspace, mallory):
    a_trained_model(mallory.workspace)
    assert "There is no trained model yet." in shown(browser)


def test_one_that_learned_from_erased_people_is_marked_and_can_be_trained_anew(browser, workspace, dataset, alice):
    made = a_trained_model(workspace, alice, erasures=2)
    a_training(dataset, state="done", trained_model=made)
    page = shown(browser)
    assert ("trained with 2 erased or not agreeing since" in page, "Train anew without them" in page) == (True, True)
    assert f'action="/w/acme/models/{made.pk}/"' in page


def test_a_viewer_sees_the_mark_and_no_button(member, workspace, dataset, alice):
    a_training(dataset, state="done", trained_model=a_trained_model(workspace, alice, erasures=1))
    page = shown(member(Membership.Role.VIEWER))
    assert ("trained with 1 erased or not agreeing since" in page, "Train anew" in page, "New training" in page) == (
        True,
        False,
        False,
    )


def test_while_it_is_trained_anew_there_is_no_button(browser, workspace, dataset, alice):
    made = a_trained_model(workspace, alice, erasures=1)
    a_training(dataset, state="done", trained_model=made)
    a_training(dataset, replaces=made)
    page = shown(browser)
    assert ("It is being trained anew" in page, "Train anew without them" in page) == (True, False)


def test_trainings_stand_with_their_state_and_how_far_they_are(browser, dataset):
    at_work(
        a_job_that_trains(a_training(dataset, state="training")), done=30, total=120, message="step 30 of 120, loss 0.5"
    )
    page = shown(browser)
    assert ('max="120" value="30"' in page, "step 30 of 120, loss 0.5" in page) == (True, True)
    assert ('hx-trigger="every 2s"' in page, "rita" in page) == (True, True)


def test_when_none_is_under_way_nothing_is_asked_again(browser, dataset):
    a_training(dataset, state="failed", error="x")
    assert "hx-trigger" not in shown(browser)


def test_the_part_that_follows_asks_again_until_one_has_ended(browser, dataset):
    training = a_training(dataset)
    address = f"{MODELS}progress/?under_way={training.pk}"
    part = text(browser.get(address, headers=PART))
    assert ('hx-trigger="every 2s"' in part, "<html" in part) == (True, False)
    training.state = "cancelled"
    training.finished_at = training.created_at
    training.save()
    assert browser.get(address, headers=PART).headers["HX-Refresh"] == "true"


def test_the_part_keeps_the_filter(browser, dataset):
    a_training(dataset)
    a_training(dataset, state="cancelled")
    page = shown(browser, f"{MODELS}?state=feedback")
    assert "models/progress/?state=feedback&amp;under_way=" in page
    assert page.count("/models/trainings/") == 2


def test_without_a_script_the_part_leads_to_the_page(browser, dataset):
    assert browser.get(f"{MODELS}progress/").headers["Location"] == MODELS


@pytest.mark.parametrize(
    ("policy", "said"),
    [("nobody", "Nobody's data may be"), ("agreed", "users who have agreed"), ("everyone", "The data of all users")],
)
def test_whose_data_is_learned_from_is_said_in_words(browser, workspace, policy, said):
    set_shared_training(workspace=workspace, policy=policy)
    assert said in shown(browser)


def test_lists_go_on_page_by_page(browser, workspace, dataset):
    for at in range(26):
        a_trained_model(workspace, identity=f"{at:064}")
        a_training(dataset, state="cancelled", seed=at)
    page = shown(browser)
    assert ("models-after=" in page, "?after=" in page) == (True, True)


@pytest.mark.parametrize(
    "address", [MODELS, f"{MODELS}trainings/new/", f"{MODELS}trainings/new/estimate/?dataset=tweets"]
)
def test_full_lists_make_few_queries(browser, workspace, dataset, alice, bob, address):
    split_of(questions_of(alice, bob), split="train")
    for at in range(25):
        made = a_trained_model(workspace, identity=f"{at:064}", erasures=1)
        a_training(dataset, state="done", trained_model=made, seed=at)
        a_training(dataset, state=("feedback", "training")[at % 2], seed=100 + at)
    with CaptureQueriesContext(connection) as queries:
        shown(browser, address)
    assert len(queries) <= 16
