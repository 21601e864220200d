"""The page of one selector or encoder."""

import pytest

from eval_app.models import ModelTraining
from retrieval_app.models import TrainedModel
from retrieval_app.services import ensure_encoder
from tests.eval_app.stored import a_base_model
from tests.eval_app.trained import a_trained_model, a_training
from tests.people import questions_of, split_of
from users_app.erasure import erase_end_user
from users_app.models import AuditEntry, Membership
from users_app.shared_training import set_agreement, set_shared_training

SCRIPT = "</script><script>alert(1)</script>"


@pytest.fixture
def dataset(workspace, alice, bob):
    for one in (alice, bob):
        set_agreement(workspace=workspace, end_user=one, agreed=True)
    for split in ("train", "dev"):
        made = split_of(questions_of(alice, bob), split=split)
    return made.dataset


@pytest.fixture
def trained(workspace, alice, bob, dataset):
    """A selector that has learned from Alice and Bob, with the training that made it."""
    made = a_trained_model(workspace, alice, bob)
    a_training(dataset, state="done", trained_model=made, base_model=a_base_model())
    return made


def address(model):
    return f"/w/acme/models/{model.pk}/"


def shown(browser, model):
    answer = browser.get(address(model))
    assert answer.status_code == 200
    return answer.content.decode()


def test_it_shows_how_good_it_is_and_how_it_was_made(browser, trained):
    page = shown(browser, trained)
    for words in ("RSPG-Pre selector", "0.5500", "Best single: BM25", "0.7000", "25%", "No documents, BM25", "12.5 s"):
        assert words in page, words
    assert ("Epochs" in page, "Left out of train, without consent" in page) == (True, True)
    assert "small at abc" in page


def test_its_curve_has_its_looks_at_the_dev_split(browser, trained):
    page = shown(browser, trained)
    assert '"losses": [0.5, 0.25, 0.125]' in page
    assert '"validations": [0.5, 0.55, 0.54]' in page
    assert "looked at 3 times" in page


def test_who_took_part_is_counted_and_not_named(browser, trained):
    page = shown(browser, trained)
    assert ("Users who took part</dt><dd>2<" in page, "alice" in page, "bob" in page) == (True, False, False)


def test_an_encoder_has_no_pool_and_names_what_it_made(browser, workspace):
    encoder = ensure_encoder(name="/srv/trained/ropg-kd", revision="abc", dimension=2)
    metrics = {"dev": {"LaMP-7": {"questions": 3, "initial": 0.4, "encoder": 0.5, "oracle": 0.6}}}
    page = shown(browser, a_trained_model(workspace, kind="ropg-kd", pool=[], encoder=encoder, metrics=metrics))
    assert ("Encoder that was made</dt><dd>ropg-kd<" in page, "/srv/" in page, "Pool" in page) == (True, False, False)
    assert ("<dt>Fine-tuned, on dev</dt><dd>0.5000<" in page, "<dt>Initial encoder</dt>" in page) == (True, True)


def test_without_metrics_and_steps_it_is_shown_all_the_same(browser, workspace):
    page = shown(browser, a_trained_model(workspace, metrics={}, loss_curve=[], steps=0))
    assert ("There is no curve" in page, "model-curve-data" in page) == (True, False)


def test_of_what_came_with_lamppost_nothing_is_shown_that_is_not_known(browser):
    metrics = {"rounds": [{"steps": 2}, {"steps": 3}, {"steps": 2}], "measured": {"mean_share": 0.506}}
    shipped = a_trained_model(None, metrics=metrics, loss_curve=[], steps=0, training_seconds=0, initial_model="")
    page = shown(browser, shipped)
    assert "on invented users</dt><dd>51%<" in page
    assert "Rounds that it is the mean of</dt><dd>3<" in page
    assert "Settings of the last round" in page
    for unknown in ("<dt>Steps", "Time of training", "Begun from", "There is no curve", "Who took part is on record"):
        assert unknown not in page, unknown


def test_nothing_of_it_runs_as_a_script(browser, workspace):
    page = shown(browser, a_trained_model(workspace, tasks=[SCRIPT], hyperparameters={SCRIPT: SCRIPT}))
    assert "<script>alert(1)" not in page


def test_an_erasure_marks_it_and_training_anew_leaves_them_out(browser, workspace, alice, trained):
    erase_end_user(workspace=workspace, end_user=alice)
    assert ("counted 1 time)" in shown(browser, trained), "Train anew without them" in shown(browser, trained)) == (
        True,
        True,
    )
    answer = browser.post(address(trained), {"action": "retrain"})
    training = ModelTraining.objects.order_by("-pk").first()
    assert answer.headers["Location"] == f"/w/acme/models/trainings/{training.pk}/"
    assert (training.replaces, training.state) == (trained, "feedback")
    assert "It is being trained anew" in shown(browser, trained)


def test_where_it_cannot_be_trained_anew_the_reason_is_told(browser, workspace, trained):
    set_shared_training(workspace=workspace, policy="nobody")
    answer = browser.post(address(trained), {"action": "retrain"}, follow=True)
    assert "It is not trained anew. This workspace lets no shared model" in answer.content.decode()
    assert not ModelTraining.objects.filter(replaces=trained).exists()


def test_of_one_whose_inputs_are_gone_it_is_said(browser, workspace):
    page = shown(browser, a_trained_model(workspace, erasures=1))
    assert ("not on record any more" in page, "Train anew without them" in page) == (True, False)


def test_what_came_with_lamppost_is_nobody_s_to_train_anew(browser, workspace):
    shipped = a_trained_model(None)
    answer = browser.post(address(shipped), {"action": "retrain"}, follow=True)
    assert "came with Lamppost" in answer.content.decode()
    assert not ModelTraining.objects.exists()


def test_another_button_does_nothing(browser, trained):
    answer = browser.post(address(trained), {"action": "delete"}, follow=True)
    assert "nothing else was understood" in answer.content.decode()
    assert TrainedModel.objects.count() == 1


def test_one_that_is_not_marked_is_trained_anew_too(browser, trained):
    assert "Train anew</button>" in shown(browser, trained)
    browser.post(address(trained), {"action": "retrain"})
    assert ModelTraining.objects.get(replaces=trained).state == "feedback"


def test_somebody_who_takes_back_their_agreement_marks_it(browser, workspace, alice, trained):
    set_agreement(workspace=workspace, end_user=alice, agreed=False)
    page = shown(browser, trained)
    assert ("people who no longer agree" in page, "counted 1 time)" in page) == (True, True)


def test_it_is_withdrawn_once_it_is_confirmed_and_by_whom_is_on_record(browser, trained):
    assert '<details class="delete">' in shown(browser, trained)
    answer = browser.post(address(trained), {"action": "withdraw"}, follow=True)
    page = answer.content.decode()
    assert ("nothing uses it any more" in page, "Withdraw it</button>" in page) == (True, False)
    assert "Train anew</button>" in page
    [entry] = AuditEntry.objects.filter(action="trained_model.withdrawn")
    assert (entry.subject, entry.actor) == (str(trained.pk), "staff")


def test_what_came_with_lamppost_is_nobody_s_to_withdraw(browser, workspace):
    shipped = a_trained_model(None)
    assert "Withdraw" not in shown(browser, shipped)
    answer = browser.post(address(shipped), {"action": "withdraw"}, follow=True)
    assert "It is not withdrawn. This model came with Lamppost" in answer.content.decode()
    assert TrainedModel.objects.get().withdrawn_at is None


def test_a_selector_that_lacks_an_encoder_says_so(browser, workspace):
    encoder = ensure_encoder(name="trained/x", revision="abc", dimension=2)
    a_trained_model(workspace, kind="ropg-kd", pool=[], encoder=encoder, withdrawn_at="2026-01-01T00:00Z")
    pool = [{"retriever": "none"}, {"retriever": "ropg-kd", "encoder": "trained/x", "encoder_revision": "abc"}]
    page = shown(browser, a_trained_model(workspace, pool=pool))
    assert ("an encoder of its pool was withdrawn" in page, "nothing uses it: train it anew" in page) == (True, True)


def test_one_that_is_withdrawn_says_so(browser, trained):
    TrainedModel.objects.update(withdrawn_at=trained.created_at)
    assert "nothing uses it any more" in shown(browser, trained)


def test_a_viewer_looks_and_changes_nothing(member, trained):
    viewer = member(Membership.Role.VIEWER)
    page = shown(viewer, trained)
    assert ("Train anew</button>" in page, "Withdraw" in page) == (False, False)
    for action in ("retrain", "withdraw"):
        assert viewer.post(address(trained), {"action": action}).status_code == 403
    assert TrainedModel.objects.get().withdrawn_at is None
