"""The Pareto front, against its definition."""

from hypothesis import given
from hypothesis import strategies as st

from eval_app.pareto import Compromise, pareto_front

compromises = st.builds(Compromise, st.integers(0, 6), st.integers(0, 6))
any_compromises = st.builds(Compromise, st.floats(0, 1e6), st.floats(-100, 100))


def beats(one, other):
    return one.cost <= other.cost and one.quality >= other.quality and one != other


def on_the_front(points):
    return {key for key, point in points.items() if not any(beats(other, point) for other in points.values())}


@given(st.dictionaries(st.integers(), st.one_of(compromises, any_compromises), max_size=15))
def test_the_front_is_what_no_other_point_beats(points):
    assert set(pareto_front(points)) == on_the_front(points)


@given(st.dictionaries(st.integers(), compromises, max_size=15))
def test_it_comes_the_cheapest_first_and_each_once(points):
    front = pareto_front(points)
    assert [points[key].cost for key in front] == sorted(points[key].cost for key in front)
    assert len(front) == len(set(front))


def test_of_nothing_there_is_none():
    assert pareto_front({}) == []


def test_equals_are_there_together():
    points = {"first": Compromise(1, 2), "second": Compromise(1, 2), "dear": Compromise(2, 2)}
    assert pareto_front(points) == ["first", "second"]
