"""What fits: sums over numbers, and a count of what autograd keeps."""

from dataclasses import replace

import pytest
import torch

from tests.workers.engine.families import FAMILIES, family_model
from tests.workers.engine.models import small_base, words_tokenizer
from workers.engine import packed_attention
from workers.engine.base_model import BaseModel, wrap
from workers.engine.batches import MAX_PASS_TOKENS, TokenPair
from workers.engine.dropout import DropoutRow, KeyedDropout
from workers.engine.lora import LoraSlots
from workers.engine.lora_training import TrainedRows
from workers.engine.memory import (
    ENOUGH_PASS_TOKENS,
    MAX_GPU_PASS_TOKENS,
    MAX_TRAINING_SLOTS,
    ModelShape,
    ServingRoom,
    TrainingRoom,
    fit_serving,
    fit_training,
    saved_bytes,
    serving_room,
    shape_of,
    shared_out,
    slot_bytes,
    training_bytes_per_token,
    training_room,
)
from workers.engine.packed_t5 import packed_loss
from workers.engine.packing import pack_pairs

GIB = 1 << 30
XXL = ModelShape(
    d_model=4096, d_ff=10240, inner=4096, heads=64, encoder_layers=24, decoder_layers=24, vocabulary=32128,
    gated=True, itemsize=2,
)  # fmt: skip
XXL_PER_RANK = 216 * 8192


def fit(free_gib: float, **settings) -> TrainingRoom:
    return fit_training(int(free_gib * GIB), XXL, parameters_per_rank=XXL_PER_RANK, **{"rank": 8, **settings})


def test_a_slot_holds_weights_gradients_and_two_moments():
    """FlanT5-XXL at rank 8: 56.6 MB of weights (LaMP reference §6)."""
    assert slot_bytes(XXL_PER_RANK, rank=8, training=False) == pytest.approx(56.6e6, rel=1e-3)
    assert slot_bytes(XXL_PER_RANK, rank=8, training=True) == 4 * slot_bytes(XXL_PER_RANK, rank=8, training=False)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_count_is_what_is_kept(family, dtype, monkeypatch):
    """With attention as on a GPU, and lengths that it needs not pad; where tokens lie, autograd does not know."""
    monkeypatch.setattr(packed_attention, "PLAIN_QUERIES", 0)
    base = wrap(family_model(family, dtype=dtype), words_tokenizer(), name=family, revision="0")
    shape = shape_of(base)
    counted = 4 * (saved_bytes(shape, source=40, target=16, rank=4) - 2 * 8 * shape.heads * (2 * 40 + 16))
    assert 0.97 < counted / _kept(base, rows=4, source=40, target=16) < 1.15


def _kept(base: BaseModel, *, rows: int, source: int, target: int) -> int:
    """Bytes of all storages that a forward pass of two users leaves for the way back, weights not counted."""
    slots = LoraSlots(base.projections, slots=2, rank=4, trainable=True, dtype=base.adapter_dtype)
    for slot in range(2):
        slots.reset(slot, seed=slot, rank=4, alpha=8)
    weights = {parameter.untyped_storage().data_ptr() for parameter in base.model.parameters()}
    weights |= {bank.values.untyped_storage().data_ptr() for bank in slots.banks}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage
        return tensor

    pairs = [TokenPair((5,) * (source - (3 if row == 0 else 0)), (5,) * target) for row in range(rows)]
    part = pack_pairs(pairs, start=0, device=base.input_device)
    dropout = KeyedDropout(
        [DropoutRow(seed=0, step=0, row=row, probability=0.1) for row in range(rows)],
        projections=len(base.projections.projections),
    )
    trained = TrainedRows(
        slots,
        [row * 2 // rows for row in range(rows)],
        source_lengths=part.source_lengths,
        target_lengths=part.target_lengths,
        dropout=dropout,
    )
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        packed_loss(base, part, trained, shares=torch.ones(rows * target))
    return sum(storage.nbytes() for storage in kept.values())


def test_longer_rows_take_more_a_token_and_recomputing_takes_less():
    lengths = [(128, 32), (256, 64), (512, 128), (1024, 256)]

    def of_token(source: int, target: int, *, again: bool) -> float:
        return training_bytes_per_token(
            XXL, rank=8, longest_input=source, longest_output=target, gradient_checkpointing=again
        )

    kept = [of_token(*length, again=False) for length in lengths]
    again = [of_token(*length, again=True) for length in lengths]
    assert kept == sorted(kept)
    assert all(less < most / 4 for less, most in zip(again, kept, strict=True))


# Free GiB beside the weights, then: users, whether activations are computed twice, and the least tokens a pass.
@pytest.mark.parametrize(
    ("free", "rank", "slots", "recomputing", "tokens"),
    [
        (115, 8, MAX_TRAINING_SLOTS, False, 12_000),  # a GPU of 141 GB holding 22 GB of weights
        (115, 64, 15, False, 12_000),
        (55, 8, 57, False, 6_000),  # of 80 GB
        (18, 8, 18, False, 2_000),  # of 40 GB
        (8, 8, 7, True, 4_000),
    ],
)
def test_free_memory_is_shared_by_users_and_tokens(free, rank, slots, recomputing, tokens):
    room = fit(free, rank=rank)
    assert room.slots == slots
    assert room.gradient_checkpointing == recomputing
    assert tokens <= room.pass_tokens <= 4 * tokens
    taken = room.slots * slot_bytes(XXL_PER_RANK, rank=rank, training=True)
    taken += room.pass_tokens * training_bytes_per_token(
        XXL, rank=rank, longest_input=512, longest_output=128, gradient_checkpointing=recomputing
    )
    assert taken < 0.9 * free * GIB


def test_recomputing_is_switched_on_only_where_too_few_tokens_fit():
    for free in range(4, 120):
        usual = fit(free, slots=8, gradient_checkpointing=False)
        assert fit(free, slots=8).gradient_checkpointing == (usual.pass_tokens < ENOUGH_PASS_TOKENS)


def test_what_is_asked_for_is_kept():
    assert fit(115, slots=3).slots == 3
    assert fit(115, gradient_checkpointing=True).gradient_checkpointing
    assert not fit(2, gradient_checkpointing=False).gradient_checkpointing


def test_a_pass_holds_a_row_at_the_limits_however_little_is_free():
    assert fit(0) == TrainingRoom(slots=1, pass_tokens=640, gradient_checkpointing=True)
    assert fit(0, longest_input=100, longest_output=20).pass_tokens == 120


def test_a_small_model_on_a_large_gpu_is_bounded():
    small = replace(XXL, d_model=128, d_ff=320, inner=128, heads=4, encoder_layers=3, decoder_layers=3)
    room = fit_training(100 * GIB, small, parameters_per_rank=27 * 256, rank=8)
    assert room == TrainingRoom(MAX_TRAINING_SLOTS, MAX_GPU_PASS_TOKENS, gradient_checkpointing=False)


@pytest.mark.parametrize(
    ("free", "slots", "rows"), [(115, 64, 64), (18, 64, 14), (3, 8, 1), (0, 1, 1)]
)  # fmt: skip
def test_serving_shares_it_by_adapters_and_rows(free, slots, rows):
    room = fit_serving(free * GIB, XXL, parameters_per_rank=XXL_PER_RANK, rank=8)
    assert (room.slots, room.rows, room.batch_tokens) == (slots, rows, rows * 512)


def test_on_a_cpu_memory_is_not_asked():
    base = small_base()
    assert training_room(base, rank=8) == TrainingRoom(16, MAX_PASS_TOKENS, gradient_checkpointing=False)
    assert training_room(base, rank=8, slots=3, gradient_checkpointing=True) == TrainingRoom(
        3, MAX_PASS_TOKENS, gradient_checkpointing=True
    )
    assert serving_room(base, rank=8) == ServingRoom(slots=16, rows=16, batch_tokens=16 * 512)


def test_the_fullest_of_several_gpus_decides():
    """Half of the layers where 10 bytes are free: the model as a whole has room for 20."""
    assert shared_out({"cuda:0": 10, "cuda:1": 80}, {"cuda:0": 0.5, "cuda:1": 0.5}) == 20
    assert shared_out({"cuda:0": 100}, {"cuda:0": 1.0}) == 100
