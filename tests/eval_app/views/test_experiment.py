"""The home of one experiment: how far it is, what went wrong, cancelling it and going on with it."""

import pytest

from eval_app.models import Experiment, Run
from tests.eval_app.stored import a_base_model, answered_run, ended, start
from tests.people import questions_of, split_of
from users_app.models import Membership


def address(experiment, more=""):
    return f"/w/acme/experiments/{experiment.pk}/{more}"


def fresh(experiment):
    return Experiment.objects.get(pk=experiment.pk)


@pytest.fixture
def running(dev):
    return start(dev, "none,rag:bm25", base_model=a_base_model())


def said(answer):
    return [str(message) for message in answer.context["messages"]]


class TestLooking:
    def test_it_says_what_was_asked_for(self, browser, running):
        settings = dict(browser.get(address(running)).context["settings"])
        assert settings["Methods"] == "none, rag:bm25"
        assert settings["Tasks"] == "LaMP-7 (version 1)"
        assert settings["Base model"] == "some/t5 at 1"

    def test_one_that_is_under_way_is_asked_for_again_and_again_and_one_that_has_ended_is_not(
        self, browser, running, dev
    ):
        done = ended(dev, {"none": answered_run(dev, ["a", "b", "c"])}, name="done")
        polls = 'hx-trigger="every 2s"'
        assert polls in browser.get(address(running)).content.decode()
        assert polls not in browser.get(address(done)).content.decode()

    def test_each_column_says_how_far_it_is(self, browser, dev):
        done = ended(dev, {"none": answered_run(dev, ["a", "b", "c"])})
        page = browser.get(address(done))
        assert (page.context["answered"], page.context["expected"], page.context["ended"]) == (3, 3, 1)
        assert f"/w/acme/runs/{Run.objects.get().pk}/" in page.content.decode()

    def test_a_column_that_was_refused_says_why(self, browser, dev):
        refused = ended(dev, {"none": answered_run(dev, ["a", "b", "c"]), "rag:recency": "it needs <dates>"})
        assert "it needs &lt;dates&gt;" in browser.get(address(refused)).content.decode()

    def test_an_error_is_shown_once_without_paths_and_with_what_to_do(self, browser, dev):
        runs = {method: answered_run(dev, ["a", "b", "c"], method=method) for method in ("none", "rag:bm25")}
        failed = ended(dev, runs)
        Run.objects.update(state=Run.State.FAILED, error="Nothing lies in /srv/models/gone.")
        Experiment.objects.update(state=Experiment.State.FAILED, error="2 of 2 runs failed.")
        page = browser.get(address(failed))
        [(text, columns)] = page.context["shown_failures"]
        assert (text, [column.method for column in columns]) == ("Nothing lies in gone.", ["none", "rag:bm25"])
        assert "Resume goes on from what stands" in page.content.decode()
        assert "/srv/models" not in page.content.decode()


class TestProgress:
    def test_it_is_a_part_of_a_page(self, browser, running):
        part = browser.get(address(running, "progress/"), headers={"HX-Request": "true"})
        assert "<html" not in part.content.decode()
        assert "HX-Refresh" not in part.headers

    def test_when_it_has_ended_the_page_is_loaded_again(self, browser, dev):
        done = ended(dev, {"none": answered_run(dev, ["a", "b", "c"])})
        part = browser.get(address(done, "progress/"), headers={"HX-Request": "true"})
        assert part.headers["HX-Refresh"] == "true"

    def test_what_is_answered_is_not_counted_anew(self, browser, dev, django_assert_max_num_queries):
        runs = {method: answered_run(dev, ["a", "b", "c"], method=method) for method in ("none", "rag:bm25")}
        done = ended(dev, runs)
        with django_assert_max_num_queries(12):
            browser.get(address(done, "progress/"))


class TestCancelling:
    def test_it_stops_and_says_so(self, browser, running):
        answer = browser.post(address(running), {"action": "cancel"}, follow=True)
        assert fresh(running).state == "cancelled"
        assert said(answer) == ["Cancelled. What was answered stays, and Resume goes on from there."]

    def test_one_that_has_ended_stays_as_it_is(self, browser, dev):
        done = ended(dev, {"none": answered_run(dev, ["a", "b", "c"])})
        answer = browser.post(address(done), {"action": "cancel"}, follow=True)
        assert (fresh(done).state, said(answer)) == ("done", ["It is done already, so there was nothing to cancel."])

    def test_a_viewer_does_not(self, member, running):
        viewer = member(Membership.Role.VIEWER)
        assert 'value="cancel"' not in viewer.get(address(running)).content.decode()
        assert viewer.post(address(running), {"action": "cancel"}).status_code == 403
        assert fresh(running).state == "active"


class TestResuming:
    def test_a_cancelled_one_goes_on_to_its_end(self, browser, dev, in_process):
        experiment = start(dev, "none")
        browser.post(address(experiment), {"action": "cancel"})
        answer = browser.post(address(experiment), {"action": "resume"}, follow=True)
        assert said(answer)[-1] == "It goes on from what it has."
        in_process()
        assert fresh(experiment).state == "done"

    def test_where_the_data_has_changed_it_says_what_to_do(self, browser, running, alice, bob):
        browser.post(address(running), {"action": "cancel"})
        split_of(questions_of(alice, bob))
        answer = browser.post(address(running), {"action": "resume"}, follow=True)
        assert fresh(running).state == "cancelled"
        assert "stands with other settings (splits differ). Give this one another name" in said(answer)[-1]

    def test_it_waits_its_turn(self, browser, running, dev, settings):
        browser.post(address(running), {"action": "cancel"})
        settings.EXPERIMENTS_AT_ONCE = 1
        start(dev, "none", name="second", base_model=a_base_model())
        answer = browser.post(address(running), {"action": "resume"}, follow=True)
        assert "1 experiments under way already" in said(answer)[-1]

    def test_one_that_is_under_way_is_left_alone(self, browser, running):
        answer = browser.post(address(running), {"action": "resume"}, follow=True)
        assert said(answer) == ["It is active, so there is nothing to resume."]


def test_another_action_is_answered_with_what_there_is(browser, running):
    answer = browser.post(address(running), {"action": "delete"}, follow=True)
    assert said(answer) == ["An experiment can be cancelled or resumed, and nothing else was understood."]
    assert fresh(running).state == "active"
