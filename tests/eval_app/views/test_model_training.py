"""The page of one training, and the builder of new ones."""

import pytest

from eval_app.model_trainings import step_training
from eval_app.models import ModelTraining
from jobs.models import Job
from retrieval_app.models import Encoder
from retrieval_app.services import ensure_encoder
from tests.eval_app.stored import a_base_model
from tests.eval_app.trained import a_job_that_trains, a_trained_model, a_training, at_work
from tests.people import questions_of, split_of
from training_app.models import BaseModel
from users_app.models import Membership
from users_app.shared_training import set_agreement, set_shared_training

TRAININGS = "/w/acme/models/trainings/"
NEW = f"{TRAININGS}new/"
ASK = {
    "kind": "rspg-pre",
    "dataset": "tweets",
    "pool": ["none", "bm25"],
    "documents_wanted": 4,
    "num_beams": 4,
    "max_input_tokens": 512,
    "max_output_tokens": 128,
    "seed": 0,
}
PART = {"HX-Request": "true"}
SCRIPT = "</textarea><script>alert(1)</script>"


@pytest.fixture(autouse=True)
def base_model(db, settings):
    """A default one that is known and that nobody loads."""
    settings.DEFAULT_BASE_MODEL = "some/t5"
    return a_base_model()


@pytest.fixture
def dataset(workspace, alice, bob):
    """Tweets with train and dev splits; Alice has agreed, and Bob has not."""
    set_agreement(workspace=workspace, end_user=alice, agreed=True)
    for split in ("train", "dev"):
        made = split_of(questions_of(alice, bob), split=split)
    return made.dataset


def text(answer):
    return answer.content.decode()


class TestOne:
    def test_shows_what_was_asked_and_how_far_it_is(self, browser, dataset):
        training = a_training(dataset, state="training", user_limit=7)
        at_work(a_job_that_trains(training), done=3, total=9, message="step 3 of 9")
        page = text(browser.get(f"{TRAININGS}{training.pk}/"))
        for words in ("RSPG-Pre selector", "No documents, BM25", "the first 7 of each split", "Step 3 of 9", "rita"):
            assert words in page, words
        assert ('max="9" value="3"' in page, "progress/?state=training" in page) == (True, True)

    def test_names_the_experiments_that_make_its_feedback(self, browser, dataset):
        browser.post(NEW, ASK)
        training = ModelTraining.objects.get()
        step_training(training_id=training.pk)
        page = text(browser.get(f"{TRAININGS}{training.pk}/"))
        assert (f"feedback {training.pk} train</a>" in page, f"feedback {training.pk} dev</a>" in page) == (True, True)
        assert "0 of 4 runs of its feedback have ended" in page

    def test_says_where_no_worker_takes_it(self, browser, dataset):
        training = a_training(dataset, state="training")
        a_job_that_trains(training)
        assert "No worker for trainings is running" in text(browser.get(f"{TRAININGS}{training.pk}/"))

    def test_asks_again_until_its_state_changes(self, browser, dataset):
        training = a_training(dataset)
        part = browser.get(f"{TRAININGS}{training.pk}/progress/?state=feedback", headers=PART)
        assert ('hx-trigger="every 2s"' in text(part), "<html" in text(part)) == (True, False)
        changed = browser.get(f"{TRAININGS}{training.pk}/progress/?state=training", headers=PART)
        assert changed.headers["HX-Refresh"] == "true"
        assert browser.get(f"{TRAININGS}{training.pk}/progress/").headers["Location"] == f"{TRAININGS}{training.pk}/"

    def test_leads_to_what_came_of_it(self, browser, workspace, dataset):
        made = a_trained_model(workspace)
        training = a_training(dataset, state="done", trained_model=made)
        page = text(browser.get(f"{TRAININGS}{training.pk}/"))
        assert (f'href="/w/acme/models/{made.pk}/"' in page, "hx-trigger" in page) == (True, False)

    def test_that_failed_says_why_without_the_server_s_paths(self, browser, dataset):
        training = a_training(dataset, state="failed", error="Nothing lies in /srv/models/small.")
        page = text(browser.get(f"{TRAININGS}{training.pk}/"))
        assert ("Nothing lies in small." in page, "Resume" in page) == (True, True)

    def test_can_be_cancelled_and_resumed(self, browser, dataset):
        browser.post(NEW, ASK)
        training = ModelTraining.objects.get()
        address = f"{TRAININGS}{training.pk}/"
        page = text(browser.post(address, {"action": "cancel"}, follow=True))
        training.refresh_from_db()
        assert (training.state, "Resume" in page) == ("cancelled", True)
        browser.post(address, {"action": "resume"})
        training.refresh_from_db()
        assert training.state == "feedback"

    @pytest.mark.parametrize(
        ("state", "action", "said"),
        [
            ("done", "cancel", "nothing to cancel"),
            ("done", "resume", "nothing to resume"),
            ("feedback", "resume", "nothing to resume"),
            ("feedback", "", "nothing else was understood"),
        ],
    )
    def test_says_what_cannot_be_done(self, browser, dataset, state, action, said):
        training = a_training(dataset, state=state)
        assert said in text(browser.post(f"{TRAININGS}{training.pk}/", {"action": action}, follow=True))

    def test_is_not_resumed_without_consent(self, browser, workspace, dataset):
        training = a_training(dataset, state="cancelled")
        set_shared_training(workspace=workspace, policy="nobody")
        page = text(browser.post(f"{TRAININGS}{training.pk}/", {"action": "resume"}, follow=True))
        assert "It cannot go on. This workspace lets no shared model" in page


class TestANewOne:
    def test_begins_with_what_is_usual(self, browser, dataset):
        page = text(browser.get(NEW))
        assert ("Temperature" in page, "Recency" in page, 'value="1e-05"' in page) == (True, True, True)

    def test_is_begun_as_asked_by_whom_it_says(self, browser, dataset):
        answer = browser.post(NEW, {**ASK, "own_epochs": 3, "users": 2, "tasks": ["LaMP-7"]})
        training = ModelTraining.objects.get()
        assert answer.headers["Location"] == f"{TRAININGS}{training.pk}/"
        assert (training.hyperparameters["epochs"], training.hyperparameters["batch_size"]) == (3, 16)
        assert (training.user_limit, training.tasks, training.begun_by) == (2, ["LaMP-7"], "researcher of acme")
        assert [member["retriever"] for member in training.pool] == ["none", "bm25"]

    def test_can_be_like_another(self, browser, dataset):
        like = a_training(dataset, kind="rspg-post", seed=41, hyperparameters={"epochs": 77}, state="cancelled")
        page = text(browser.get(f"{NEW}?from={like.pk}"))
        assert ('value="41"' in page, 'value="77"' in page, 'value="rspg-post" selected' in page) == (True, True, True)

    def test_can_be_said_by_an_address(self, browser, dataset):
        page = text(browser.get(f"{NEW}?kind=rspg-post&dataset=tweets&seed=41&pool=none&own_epochs=77"))
        assert ('value="41"' in page, 'value="77"' in page, 'value="rspg-post" selected' in page) == (True, True, True)
        assert page.count("checked") == 1

    @pytest.mark.parametrize("kind", ["telepathy", "", "rspg-pre&from=99999999999999999999", "rspg-pre&from=²"])
    def test_an_address_that_says_nonsense_shows_the_form(self, browser, dataset, kind):
        assert browser.get(f"{NEW}?kind={kind}").status_code == 200

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ({"kind": "telepathy"}, "No model of that kind"),
            ({"dataset": "other"}, "no such dataset"),
            ({"dataset": ""}, "Choose a dataset"),
            ({"tasks": ["LaMP-99"]}, "has the task LaMP-99"),
            ({"pool": ["bm25"]}, "Choose two retrievers"),
            ({"pool": ["bm25", "rspg-pre"]}, "A pool holds no rspg-pre"),
            ({"pool": ["bm25", "ropg-kd"]}, "No ropg-kd encoder is trained"),
            ({"pool": ["bm25", "contriever"]}, "has not been loaded yet"),
            ({"base_model": "12345"}, "not known here"),
            ({"documents_wanted": "many"}, "Write a whole number"),
            ({"own_epochs": 0}, "Write a whole number from 1"),
            ({"own_learning_rate": "fast"}, "Write a number"),
            ({"seed": ""}, "Write a whole number"),
        ],
    )
    def test_what_cannot_be_is_told_beside_its_field(self, browser, dataset, wrong, said):
        answer = browser.post(NEW, {**ASK, **wrong})
        assert (answer.status_code, said in text(answer)) == (422, True)
        assert not ModelTraining.objects.exists()

    def test_where_a_model_is_missing_a_worker_is_asked_for_it(self, browser, dataset):
        BaseModel.objects.all().delete()
        answer = browser.post(NEW, ASK)
        assert "has not been loaded yet" in text(answer)
        assert Job.objects.get().kind == "record_default_models"

    def test_a_loaded_encoder_serves_the_dense_member(self, browser, dataset):
        ensure_encoder(name="facebook/contriever", revision="abc", dimension=2)
        browser.post(NEW, {**ASK, "pool": ["none", "contriever"]})
        assert ModelTraining.objects.get().encoder == Encoder.objects.get()

    def test_what_was_typed_is_shown_again_and_never_run(self, browser, dataset):
        page = text(browser.post(NEW, {**ASK, "seed": SCRIPT, "kind": SCRIPT}))
        assert ("&lt;script&gt;" in page, "<script>alert(1)" in page) == (True, False)

    @pytest.mark.parametrize("policy", ["nobody", "agreed"])
    def test_without_consent_none_is_begun(self, browser, workspace, alice, dataset, policy):
        set_agreement(workspace=workspace, end_user=alice, agreed=False)
        set_shared_training(workspace=workspace, policy=policy)
        answer = browser.post(NEW, ASK)
        assert (answer.status_code, "shared training" in text(answer)) == (422, True)

    def test_so_many_may_be_under_way(self, browser, dataset, settings):
        settings.MODEL_TRAININGS_AT_ONCE = 1
        browser.post(NEW, ASK)
        answer = browser.post(NEW, {**ASK, "seed": 1})
        assert (answer.status_code, "1 trainings under way already" in text(answer)) == (422, True)

    def test_a_viewer_may_look_and_not_start(self, member, dataset):
        viewer = member(Membership.Role.VIEWER)
        page = text(viewer.get(NEW))
        assert ("takes the role researcher" in page, ">Start<" in page) == (True, False)
        assert viewer.post(NEW, ASK).status_code == 403


class TestWhoWouldTakePart:
    @pytest.mark.parametrize(("policy", "said"), [("nobody", "0 of 2"), ("agreed", "1 of 2"), ("everyone", "2 of 2")])
    def test_is_counted_by_the_policy(self, browser, workspace, dataset, policy, said):
        set_shared_training(workspace=workspace, policy=policy)
        part = text(browser.get(f"{NEW}estimate/?dataset=tweets"))
        assert (part.count(said), "<html" in part) == (2, False)

    def test_is_counted_no_further_than_needed(self, browser, workspace, bob, dataset, monkeypatch):
        set_agreement(workspace=workspace, end_user=bob, agreed=True)
        monkeypatch.setattr("eval_app.model_training_selectors.COUNTED_MOST", 1)
        assert "more than 1 of 2" in text(browser.get(f"{NEW}estimate/?dataset=tweets"))

    def test_is_limited_to_the_first_users(self, browser, dataset):
        assert "the first 7 of each split" in text(browser.get(f"{NEW}estimate/?dataset=tweets&users=7"))

    @pytest.mark.parametrize("query", ["", "?dataset=other", "?dataset=%00", "?dataset=tweets&tasks=LaMP-99"])
    def test_of_what_is_not_there_nothing_is_counted(self, browser, dataset, query):
        answer = browser.get(f"{NEW}estimate/{query}")
        assert (answer.status_code, "<table>" in text(answer)) == (200, False)

    def test_a_dataset_without_a_train_split_cannot_be_trained_on(self, browser, dev):
        assert "both a train and a dev split" in text(browser.get(f"{NEW}estimate/?dataset=tweets"))
