"""Computed bytes against folders that the engine really writes."""

import json

import pytest

from tests.workers.engine.models import pairs_of, small_base
from training_app.costs.shapes import PUBLISHED, shape_from_config
from training_app.costs.storage import BYTES_A_VALUE, adapter_bytes, weights_file_bytes
from workers.engine.adapter_files import CONFIG_FILE, WEIGHTS_FILE, write_peft_folder
from workers.engine.hyperparameters import Hyperparameters
from workers.engine.training import train_adapter


@pytest.mark.parametrize("rank", [8, 64])
@pytest.mark.parametrize("dtype", BYTES_A_VALUE)
def test_the_bytes_are_those_of_a_written_folder(tmp_path, rank, dtype):
    base = small_base()
    trained = train_adapter(
        base, pairs=pairs_of("alice", count=1), hyperparameters=Hyperparameters(rank=rank, epochs=1), seed=0
    )
    write_peft_folder(tmp_path, trained, base, dtype=dtype)
    shape = shape_from_config(json.loads(base.model.config.to_json_string()))
    assert weights_file_bytes(shape, rank=rank, dtype=dtype) == (tmp_path / WEIGHTS_FILE).stat().st_size
    config = (tmp_path / CONFIG_FILE).stat().st_size
    written = (tmp_path / WEIGHTS_FILE).stat().st_size + config
    assert adapter_bytes(shape, rank=rank, dtype=dtype) == pytest.approx(written, rel=0.01)


def test_an_xxl_adapter_has_the_papers_bytes_and_bf16_half_of_them():
    xxl = PUBLISHED["google/flan-t5-xxl"]
    assert adapter_bytes(xxl, rank=8, dtype="float32") / 1e6 == pytest.approx(56.6, rel=0.002)
    assert adapter_bytes(xxl, rank=8, dtype="bfloat16") / 1e6 == pytest.approx(28.3, rel=0.003)
    assert adapter_bytes(xxl, rank=64, dtype="float32") / 1e6 == pytest.approx(453, rel=0.002)
