"""Two runs, in what they differ."""

import pytest

from tests import people
from tests.eval_app.stored import a_run, answered_run


def compared(browser, run, other):
    return browser.get(f"/w/acme/runs/{run.pk}/compare/", {"with": other})


def test_only_what_differs_is_shown(browser, dev):
    one, other = a_run(dev, "rag:bm25"), a_run(dev, "rag:bm25", documents_wanted=5)
    context = compared(browser, one, other.pk).context
    assert [(row.name, row.one, row.other) for row in context["settings"]] == [("Documents retrieved", 2, 5)]
    assert context["surroundings"] == []


def test_what_one_of_them_has_not_is_a_dash(browser, dev):
    page = compared(browser, a_run(dev), a_run(dev, "peft:8").pk)
    rows = {row.name: (row.one, row.other) for row in page.context["settings"]}
    assert (rows["Method"], rows["Rank"]) == (("None", "PEFT r=8"), (None, 8))
    assert "<td>–</td><td>8</td>" in page.content.decode()


def test_metrics_stand_side_by_side(browser, dev):
    one, other = answered_run(dev, ["a", "b", "c"]), answered_run(dev, ["d", "e", "f"], method="rag:bm25")
    assert compared(browser, one, other.pk).context["metrics"] == [
        (name, one.metrics[name], other.metrics[name]) for name in one.metrics
    ]


def test_runs_of_the_same_task_are_offered(browser, dev, alice):
    elsewhere = people.split_of([people.Asked(alice, "a headline", "b", [])], task="LaMP-4")
    one, other = a_run(dev), a_run(dev, "rag:bm25")
    a_run(elsewhere)
    context = browser.get(f"/w/acme/runs/{one.pk}/compare/").context
    assert [pk for pk, _ in context["others"]] == [other.pk]


@pytest.mark.parametrize("number", ["x", "²", "999999", "9" * 30])
def test_a_number_of_no_run_is_said_to_be_none(browser, dev, number):
    answer = compared(browser, a_run(dev), number)
    assert answer.status_code == 200
    assert "There is no such run in this workspace" in answer.content.decode()


def test_another_workspace_s_run_is_no_run(browser, dev, mallory):
    theirs = a_run(people.split_of([people.Asked(mallory, "tweet: hello", "hi", people.tweets_of(mallory))]))
    assert "There is no such run" in compared(browser, a_run(dev), theirs.pk).content.decode()
