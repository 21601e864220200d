import pytest

from retrieval_app.chosen import Candidate, Chosen, chosen_of, pools_of_selectors
from tests.retrieval_app.trained import trained

POOLS = {7: ["none", "bm25"]}


def test_scores_are_told_by_the_candidates_names_in_the_pools_order():
    chosen = chosen_of(selector_id=7, retriever="bm25", scores=[-0.25, 1.5], pools=POOLS)
    assert chosen == Chosen("bm25", [Candidate("none", -0.25), Candidate("bm25", 1.5)])
    assert chosen.title == "BM25"
    assert [one.title for one in chosen.candidates] == ["No documents", "BM25"]


@pytest.mark.parametrize(
    "told",
    [
        {"selector_id": None, "retriever": "", "scores": None},
        {"selector_id": 7, "retriever": "", "scores": None},
        {"selector_id": None, "retriever": "bm25", "scores": [1.0, 2.0]},
    ],
)
def test_where_no_selector_has_chosen_there_is_nothing_to_tell(told):
    assert chosen_of(pools=POOLS, **told) is None


def test_without_its_pool_the_choice_stands_alone():
    assert chosen_of(selector_id=8, retriever="bm25", scores=[1.0], pools=POOLS) == Chosen("bm25", [])


def test_a_workspace_reads_the_pools_of_its_own_selectors_and_of_lampposts(workspace, mallory):
    own, shipped, strange = trained(workspace), trained(None), trained(mallory.workspace)
    found = pools_of_selectors(workspace=workspace, selector_ids=[own.pk, shipped.pk, strange.pk])
    assert found == {own.pk: ["none", "bm25"], shipped.pk: ["none", "bm25"]}


def test_one_that_is_used_no_more_has_its_pool_still(workspace):
    withdrawn = trained(workspace, withdrawn_at="2024-01-01T00:00Z")
    assert pools_of_selectors(workspace=workspace, selector_ids=[withdrawn.pk]) == {withdrawn.pk: ["none", "bm25"]}


def test_nothing_is_read_where_nothing_is_asked(workspace, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert pools_of_selectors(workspace=workspace, selector_ids=[]) == {}
