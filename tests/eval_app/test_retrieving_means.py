"""What a method retrieves with, settled when its run is assigned."""

import pytest
from django.utils import timezone

from eval_app.methods import parse_method
from eval_app.retrieving_means import MeansMissing, encoders_of_run, retrieving_means, trained_model_of
from retrieval_app.pools import PoolRefused
from tests.eval_app.stored import a_base_model, a_run
from tests.eval_app.unloaded import DENSE_POOL, WITH_RECENCY, unloaded
from tests.people import Asked, split_of
from tests.retrieval_app.vectors import an_encoder


@pytest.fixture
def undated(alice):
    """A dev split without dates."""
    return split_of([Asked(alice, "tweet: hello", "hi", [])], has_dates=False)


def means_of(method, split, *, encoder=None):
    return retrieving_means(method=parse_method(method), split=split, base_model=a_base_model(), encoder=encoder)


@pytest.mark.parametrize(("method", "uses"), [("rag:contriever", True), ("rag:bm25", False), ("peft:8", False)])
def test_the_experiments_encoder_is_contrievers_alone(dev, method, uses):
    encoder = an_encoder()
    assert means_of(method, dev, encoder=encoder).encoder == (encoder if uses else None)


@pytest.mark.parametrize("method", ["rag:rspg-pre", "peft-rag:rspg-pre:8", "rag:rspg-pre@swapped"])
def test_a_selector_is_the_workspaces_newest_before_what_came_with_lamppost(dev, workspace, mallory, method):
    shipped = unloaded(None)
    assert means_of(method, dev).selector == shipped
    own = [unloaded(workspace) for _ in range(2)]
    unloaded(None)
    unloaded(mallory.workspace)
    unloaded(workspace, "rspg-post")
    unloaded(workspace, tasks=["LaMP-4"])
    unloaded(workspace, base_model="some/t5@2")
    found = means_of(method, dev, encoder=an_encoder())
    assert (found.retriever, found.selector, found.encoder) == ("rspg-pre", own[1], None)
    own[1].withdrawn_at = timezone.now()
    own[1].save()
    assert means_of(method, dev).selector == own[0]


def test_a_fine_tuned_encoder_comes_with_its_method(dev, workspace):
    trained = unloaded(workspace, "ropg-rl")
    found = means_of("rag:ropg-rl", dev, encoder=an_encoder())
    assert (found.encoder, found.selector) == (trained.encoder, None)


@pytest.mark.parametrize(
    ("method", "said"),
    [
        (
            "rag:rspg-pre",
            "No RSPG-Pre selector of LaMP-7 is ready for this base model: train one "
            "(`manage.py train_selector`), or leave the method out.",
        ),
        (
            "peft-rag:ropg-kd:8",
            "No ROPG-KD encoder of LaMP-7 is ready for this base model: train one "
            "(`manage.py train_encoder`), or leave the method out.",
        ),
    ],
)
def test_what_has_not_been_trained_is_missing_with_what_to_do(dev, workspace, method, said):
    unloaded(workspace, "rspg-post")
    with pytest.raises(MeansMissing) as caught:
        means_of(method, dev)
    assert str(caught.value).startswith(said)


def test_a_selector_that_may_choose_recency_needs_dates(dev, undated, workspace):
    selector = unloaded(workspace, pool=WITH_RECENCY)
    assert means_of("rag:rspg-pre", dev).selector == selector
    with pytest.raises(MeansMissing, match="rag:rspg-pre needs dates, as its selector may choose recency"):
        means_of("rag:rspg-pre", undated)


def test_a_selector_whose_encoders_are_not_here_cannot_be_used(dev, workspace):
    unloaded(workspace, pool=DENSE_POOL)
    with pytest.raises(MeansMissing, match="cannot be used here: The encoder of contriever"):
        means_of("rag:rspg-pre", dev)


class TestRuns:
    def test_a_run_needs_the_encoders_of_its_selectors_pool(self, dev, workspace):
        encoders = [an_encoder(revision=revision) for revision in "12"]
        run = a_run(dev, "rag:rspg-pre", selector=unloaded(workspace, pool=DENSE_POOL))
        assert encoders_of_run(run) == encoders

    def test_or_its_own_or_none(self, dev):
        assert encoders_of_run(a_run(dev, "rag:contriever", encoder=an_encoder())) == [an_encoder()]
        assert encoders_of_run(a_run(dev, "rag:bm25")) == []

    def test_one_that_is_not_recorded_is_refused(self, dev, workspace):
        run = a_run(dev, "rag:rspg-pre", selector=unloaded(workspace, pool=DENSE_POOL))
        with pytest.raises(PoolRefused):
            encoders_of_run(run)

    def test_what_was_trained_of_it_is_found(self, dev, workspace):
        selector, encoder = unloaded(workspace), unloaded(workspace, "ropg-kd")
        assert trained_model_of(a_run(dev, "rag:rspg-pre", selector=selector)) == selector
        assert trained_model_of(a_run(dev, "rag:ropg-kd", encoder=encoder.encoder)) == encoder
        assert trained_model_of(a_run(dev, "rag:contriever", encoder=an_encoder())) is None
