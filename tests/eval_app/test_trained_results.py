import pytest

from eval_app.trained_results import dev_results, figures_of, mean_of, rounds_of, validations_of
from tests.eval_app.trained import METRICS

POOL = ["none", "bm25"]


def task(selector, oracle, **members):
    return {"questions": 10, "selector": selector, "oracle": oracle, "members": members}


def test_a_selector_stands_between_the_best_single_member_and_the_oracle():
    (found,) = dev_results(METRICS, pool=POOL)
    assert (found.task, found.questions, found.value, found.best_single, found.oracle) == ("LaMP-7", 40, 0.55, 0.5, 0.7)
    assert (found.best_title, found.others) == ("BM25", (("No documents", 0.4), ("BM25", 0.5)))
    assert found.share == pytest.approx(0.25)


def test_of_equal_members_the_first_of_the_pool_is_the_best():
    metrics = {"dev": {"LaMP-2": task(0.5, 0.6, bm25=0.5, none=0.5)}}
    assert dev_results(metrics, pool=POOL)[0].best_title == "No documents"


def test_an_encoder_stands_between_the_one_that_it_began_from_and_the_oracle():
    metrics = {"dev": {"LaMP-2": {"questions": 3, "initial": 0.4, "encoder": 0.5, "oracle": 0.6}}}
    (found,) = dev_results(metrics, pool=[])
    assert (found.value, found.best_single, found.best_title, found.oracle) == (0.5, 0.4, "Initial encoder", 0.6)
    assert (found.others, found.share) == ((("Initial encoder", 0.4),), pytest.approx(0.5))


def test_where_nothing_can_be_gained_there_is_no_share():
    (found,) = dev_results({"dev": {"LaMP-2": task(0.5, 0.5, bm25=0.5, none=0.5)}}, pool=POOL)
    assert (found.share, found.percent) == (None, None)


def test_several_tasks_count_alike_whatever_they_ask():
    metrics = {"dev": {"LaMP-2": task(0.4, 0.6, bm25=0.3, none=0.2), "LaMP-4": task(0.6, 0.8, bm25=0.1, none=0.5)}}
    found = mean_of(dev_results(metrics, pool=POOL))
    assert (found.value, found.best_single, found.oracle) == pytest.approx((0.5, 0.4, 0.7))
    assert (found.best_title, found.questions) == ("each task's own", 20)


@pytest.mark.parametrize("metrics", [{}, {"dev": None}, {"dev": {"LaMP-2": 0.5}}, {"dev": {"LaMP-2": {"members": {}}}}])
def test_metrics_of_another_form_say_nothing(metrics):
    assert dev_results(metrics, pool=POOL) == []
    assert (mean_of([]), validations_of(metrics), figures_of(metrics)) == (None, [], [])


def test_what_else_is_known_is_told_in_words():
    assert validations_of(METRICS) == [(1, 0.5), (2, 0.55), (3, 0.54)]
    assert figures_of(METRICS) == [
        ("Best step", 2),
        ("Questions of train", 80),
        ("Questions of dev", 40),
        ("Left out of train, without consent", 7),
    ]


@pytest.mark.parametrize(("rounds", "number"), [([{}, {}], 2), ([], 0), (None, 0), (3, 0)])
def test_rounds_are_counted_where_they_are_listed(rounds, number):
    assert rounds_of({"rounds": rounds}) == number
    assert figures_of({"rounds": rounds}) == ([("Rounds that it is the mean of", number)] if number else [])
