import torch

from benchmarks.adapter_storage import _computed, _relative_error, _written
from tests.workers.engine.models import small_base
from training_app.costs.shapes import shape_from_config


def test_a_written_folder_has_the_computed_bytes():
    base = small_base()
    figure = _written(base, shape_from_config(base.model.config.to_dict()), 8)
    assert 1 < figure.ratio < 2


def test_of_a_large_model_the_header_does_not_count():
    assert 1.99 < _computed(64).ratio < 2


def test_the_error_is_relative_to_each_value():
    exact = torch.tensor([1.0, 100.0, 0.0])
    assert _relative_error(exact, torch.tensor([1.01, 100.0, 0.0])) < 0.0101
    assert _relative_error(torch.zeros(2), torch.zeros(2)) == 0
