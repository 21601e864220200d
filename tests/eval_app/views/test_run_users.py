"""The users of a run: what it changed for each, in which order, page by page."""

import re

import pytest

from eval_app.answer_selectors import users_compared
from tests.eval_app.crowds import a_done_run, compared, crowd, indexes_used
from tests.members import member_of

# (baseline's score, the run's) of the users 0, 1, 2, …
PAIRS = [(0.5, 0.5), (0.2, 0.9), (0.4, 0.1), (0.1, 0.2), (0.9, 0.4)]


@pytest.fixture
def compare(workspace):
    """Compare the users of a crowd; the run, and its page as a list of users."""

    def make(pairs):
        split = crowd(workspace, len(pairs))
        baseline, run = a_done_run(split, "none"), a_done_run(split, "rag:bm25")
        compared(run, baseline, pairs)
        return run, baseline

    return make


@pytest.fixture
def see(workspace):
    member = member_of(workspace)

    def page(run, query=""):
        answer = member.get(f"/w/{workspace.slug}/runs/{run.pk}/users/?{query}")
        assert answer.status_code == 200
        return answer

    return page


def users(answer):
    return [int(name) for name in re.findall(r">crowd/(\d{5})</a></th>", answer.content.decode())]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [1, 3, 0, 2, 4]),
        ("order=gain", [1, 3, 0, 2, 4]),
        ("order=loss", [4, 2, 0, 3, 1]),
        ("order=profile", [4, 3, 2, 1, 0]),
        ("order=small-profile", [0, 1, 2, 3, 4]),
        ("direction=better", [1, 3]),
        ("direction=same", [0]),
        ("direction=worse&order=loss", [4, 2]),
        ("direction=worse&order=small-profile", [2, 4]),
        ("order=nonsense&direction=nonsense&baseline=x&after=forged", [1, 3, 0, 2, 4]),
    ],
)
def test_users_come_in_the_order_and_of_the_outcome_that_is_asked_for(compare, see, query, expected):
    run, _ = compare(PAIRS)
    assert users(see(run, query)) == expected


def test_each_user_leads_to_their_samples_and_to_their_own_page(compare, see):
    run, _ = compare(PAIRS)
    page = see(run).content.decode()
    assert f"/runs/{run.pk}/answers/?user=crowd%2F00001" in page
    assert re.search(r"/people/\d+/", page)


@pytest.mark.parametrize("order", ["gain", "loss", "profile", "small-profile"])
@pytest.mark.parametrize("direction", ["", "better"])
def test_pages_follow_each_other_without_a_gap_or_a_repetition(compare, see, order, direction):
    run, _ = compare([(0.1, 0.1 + at % 7 / 10) for at in range(120)])
    seen, query = [], f"order={order}&direction={direction}"
    while query is not None:
        answer = see(run, query)
        seen += users(answer)
        query = answer.context["page"].following
    wanted = [at for at in range(120) if not direction or at % 7 > 0]
    assert sorted(seen) == wanted


@pytest.mark.parametrize("direction", [None, 1, 0, -1])
@pytest.mark.parametrize(
    ("order", "index"),
    [
        (("-gain", "-end_user_id"), {"improvement_by_gain"}),
        (("gain", "end_user_id"), {"improvement_by_gain"}),
        (("-profile_size", "-end_user_id"), {"improvement_by_size", "improvement_by_way_and_size"}),
    ],
)
def test_an_index_has_each_order(compare, workspace, order, index, direction):
    run, baseline = compare(PAIRS)
    rows = users_compared(workspace=workspace, run=run, baseline=baseline, direction=direction).order_by(*order)
    assert indexes_used(rows[:51]) & index


def test_a_page_makes_few_queries_however_many_users_there_are(compare, see, django_assert_max_num_queries):
    run, _ = compare([(0.1, 0.2)] * 200)
    with django_assert_max_num_queries(12):
        see(run)


def test_another_baseline_can_be_chosen(compare, see, workspace):
    run, _ = compare(PAIRS)
    other = a_done_run(run.split, "rag:recency")
    compared(run, other, [(0.0, 0.5)])
    assert users(see(run)) == [0]
    assert users(see(run, f"baseline={run.improvements.order_by('baseline_id').first().baseline_id}")) == [
        1,
        3,
        0,
        2,
        4,
    ]


def test_a_run_that_nobody_compared_says_why(workspace, see):
    split = crowd(workspace, 2)
    page = see(a_done_run(split, "none")).content.decode()
    assert "which the others are compared with" in page
