"""The models of a process: selectors and fine-tuned encoders, found by their records."""

import numpy as np
import pytest
from django.utils import timezone

from jobs.errors import Permanent
from retrieval_app.models import TrainedModel
from retrieval_app.selection import PRE, selector_text
from tests.eval_app.stored import small_encoder
from tests.workers.trained import a_fine_tuned_encoder, a_selector
from users_app import caches
from workers import loaded
from workers.engine.encoder import encode
from workers.engine.selector import score

TEXTS = [selector_text(reads=PRE, prompt=prompt, output=None) for prompt in ("a garden", "the trail")]


@pytest.fixture(autouse=True)
def here(db, settings, tmp_path):
    settings.VAR_DIR = tmp_path


def test_a_selector_is_loaded_once_and_scores(workspace):
    record = a_selector(workspace)
    selector = loaded.selector(record)
    assert loaded.selector(TrainedModel.objects.get(pk=record.pk)) is selector
    assert score(selector, TEXTS).shape == (2,)


def test_two_selectors_are_never_taken_for_each_other(workspace):
    one, other = (loaded.selector(a_selector(workspace, seed=seed)) for seed in (0, 1))
    assert not np.array_equal(score(one, TEXTS), score(other, TEXTS))


def test_a_process_keeps_few_selectors(workspace, monkeypatch):
    monkeypatch.setattr(loaded, "_SELECTORS_KEPT", 1)
    first = a_selector(workspace)
    kept = loaded.selector(first)
    loaded.selector(a_selector(workspace, seed=1))
    assert loaded.selector(first) is not kept


def test_a_withdrawn_selector_is_not_used_though_it_is_in_memory(workspace):
    record = a_selector(workspace)
    loaded.selector(record)
    record.withdrawn_at = timezone.now()
    with pytest.raises(Permanent, match="was withdrawn"):
        loaded.selector(record)


def test_a_selector_that_is_gone_is_forgotten(workspace):
    gone, stays = a_selector(workspace), a_selector(workspace, seed=1)
    loaded.selector(gone)
    kept = loaded.selector(stays)
    TrainedModel.objects.filter(pk=gone.pk).delete()
    caches.forget_gone()
    assert gone.content_digest not in loaded._selectors
    assert loaded.selector(stays) is kept


def test_a_fine_tuned_encoder_is_found_by_its_trained_model(workspace):
    record = a_fine_tuned_encoder(workspace)
    vectors = encode(loaded.encoder(record.encoder), ["a garden"])
    np.testing.assert_array_equal(vectors, encode(loaded.encoder(small_encoder()), ["a garden"]))


def test_a_fine_tuned_encoder_that_was_withdrawn_is_not_used_though_it_is_in_memory(workspace):
    record = a_fine_tuned_encoder(workspace)
    loaded.encoder(record.encoder)
    TrainedModel.objects.filter(pk=record.pk).update(withdrawn_at=timezone.now())
    with pytest.raises(Permanent, match="was withdrawn"):
        loaded.encoder(record.encoder)
