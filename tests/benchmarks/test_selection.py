"""The selection benchmark: three ways of answering the same questions."""

import pytest

from benchmarks.selection import Answering, _compared, _require_equal
from benchmarks.selection_models import Workload, small_questions
from workers.engine.base_model import load_base_model
from workers.engine.selector import initial_selector
from workers.small_models import SMALL_ENCODER, SMALL_T5


@pytest.fixture(scope="module")
def load():
    """Two questions, short answers, and a selector that has learned nothing."""
    base = load_base_model(str(SMALL_T5))
    selector = initial_selector(str(SMALL_ENCODER), seed=0)
    return Workload("small", base, {"pre": selector, "post": selector}, small_questions(base, 2), 4)


def test_every_question_has_a_candidate_of_each_member_of_the_pool(load):
    for one in load.posed:
        candidates = one.candidates()
        assert len(candidates) == 4
        assert candidates[one.fixed_place] == one.fixed()
        # Without documents the prompt is shorter than with any.
        assert min(candidates, key=len) == candidates[0]


def test_what_is_chosen_is_what_its_member_answers_alone(load):
    answering = Answering(load)
    for way in (answering.pre, answering.post):
        for one, (place, answer) in zip(load.posed, way(load.posed), strict=True):
            prompt = one.candidates()[place]
            assert answer == answering.outputs([prompt])[prompt]


def test_an_answer_that_differs_stops_the_benchmark(load, monkeypatch):
    answering = Answering(load)
    _require_equal(answering, load.posed, [load.posed])
    monkeypatch.setattr(answering, "post", lambda posed: [(0, "something else")] * len(posed))
    with pytest.raises(AssertionError):
        _require_equal(answering, load.posed, [load.posed])


def test_figures_say_what_choosing_adds(load):
    figures = _compared(load, "c1", rounds=1, at_once=1)
    assert [figure.name for figure in figures] == ["select_pre_c1_vs_fixed", "select_post_c1_vs_fixed"]
    assert all("so choosing adds" in figure.detail and figure.ratio > 0 for figure in figures)
