"""How many users, and how many tokens a pass, fit into the memory that is free.

Everything but `training_room` and `serving_room` is arithmetic over numbers. What training keeps of a pass for the way
back is counted per token from the model's shape, as on a GPU; a test compares the count with what autograd really
saves. It is an estimate all the same, because attention kernels, their workspaces and fragmentation are not in it: a
share of the memory stays free, and `AdapterTrainer` halves its passes where the device still runs out.
"""

from dataclasses import dataclass
from typing import Any, Self

import torch

from workers.engine.base_model import BaseModel
from workers.engine.batches import MAX_PASS_TOKENS
from workers.engine.generation import DEFAULT_SLOTS, MAX_ROWS
from workers.engine.training import DEFAULT_TRAINING_SLOTS

# More than this gains nothing: a pass is full long before.
MAX_TRAINING_SLOTS = 64
MAX_SERVING_SLOTS = 64
MAX_SERVING_ROWS = 64
MAX_GPU_PASS_TOKENS = 1 << 15
# A GPU is busy with this many tokens at once. Where fewer fit, computing activations twice is the better bargain.
ENOUGH_PASS_TOKENS = 2048

_FLOAT32_BYTES = 4  # LoRA, and what is summed in training, whatever the base is kept in
_PLACE_BYTES = 8
_TRAINING_COPIES = 4  # weights, gradients and AdamW's two moments
_USABLE_SHARE = 0.9
_SLOTS_SHARE = 0.25
# Logits of the chunks in which the loss is taken, the libraries' workspaces and the generator's small change.
_FIXED_BYTES = 1 << 30


@dataclass(frozen=True)
class TrainingRoom:
    """What an `AdapterTrainer` may use."""

    slots: int
    pass_tokens: int
    gradient_checkpointing: bool


@dataclass(frozen=True)
class ServingRoom:
    """What a `Generator` may use: adapters at once, rows of one beam search, and their padded input tokens."""

    slots: int
    rows: int
    batch_tokens: int


@dataclass(frozen=True)
class ModelShape:
    """What of a T5 decides its memory. `itemsize` is bytes a value of the base."""

    d_model: int
    d_ff: int
    inner: int
    heads: int
    encoder_layers: int
    decoder_layers: int
    vocabulary: int
    gated: bool
    itemsize: int

    @classmethod
    def of(cls, config: Any, *, itemsize: int) -> Self:
        """The shape of a transformers T5 or mT5 configuration."""
        return cls(
            d_model=config.d_model,
            d_ff=config.d_ff,
            inner=config.num_heads * config.d_kv,
            heads=config.num_heads,
            encoder_layers=config.num_layers,
            decoder_layers=config.num_decoder_layers,
            vocabulary=config.vocab_size,
            gated=config.is_gated_act,
            itemsize=itemsize,
        )


def slot_bytes(parameters_per_rank: int, *, rank: int, training: bool) -> int:
    """Bytes of one user's slot: its weights and, in training, their gradients and AdamW's two moments."""
    return parameters_per_rank * rank * _FLOAT32_BYTES * (_TRAINING_COPIES if training else 1)


def saved_bytes(shape: ModelShape, *, source: int, target: int, rank: int) -> int:
    """Bytes kept for the way back of one row of `source` input and `target` output tokens."""
    encoder = shape.encoder_layers * _encoder_block(shape, source=source, rank=rank)
    decoder = shape.decoder_layers * _decoder_block(shape, source=source, target=target, rank=rank)
    return encoder + decoder + _of_all_layers(shape, source=source, target=target)


def checkpointed_bytes(shape: ModelShape, *, source: int, target: int, rank: int) -> int:
    """The same where each block keeps its inputs only and is computed again: those, and the largest block in full."""
    kept = shape.itemsize * shape.d_model * (shape.encoder_layers * source + shape.decoder_layers * target)
    kept += _of_all_layers(shape, source=source, target=target)
    return kept + max(
        _encoder_block(shape, source=source, rank=rank),
        _decoder_block(shape, source=source, target=target, rank=rank),
    )


def passing_bytes(shape: ModelShape, *, source: int, target: int) -> int:
    """Bytes that live for a moment in the widest layer of a row's pass: gradients of its values, LoRA's float32 inputs
    and the words that dropout is drawn from."""
    of_token = 3 * shape.d_ff * shape.itemsize + shape.d_model * (4 * _FLOAT32_BYTES + 8)
    return max(source, target) * (of_token + 2 * shape.heads * max(source, target) * shape.itemsize)


def training_bytes_per_token(
    shape: ModelShape, *, rank: int, longest_input: int, longest_output: int, gradient_checkpointing: bool
) -> float:
    """Bytes a token of a pass takes where all rows are as long as they may be.

    Attention's biases grow with the square of the length, so shorter rows take less: this is the upper end.
    """
    kept = checkpointed_bytes if gradient_checkpointing else saved_bytes
    of_row = kept(shape, source=longest_input, target=longest_output, rank=rank)
    of_row += passing_bytes(shape, source=longest_input, target=longest_output)
    return of_row / (longest_input + longest_output)


def fit_training(
    free_bytes: int,
    shape: ModelShape,
    *,
    parameters_per_rank: int,
    rank: int,
    slots: int | None = None,
    gradient_checkpointing: bool | None = None,
    longest_input: int = 512,
    longest_output: int = 128,
) -> TrainingRoom:
    """Share out a GPU's free memory: users first, up to a quarter of it, then tokens.

    Activations are computed twice (gradient checkpointing) only where without it fewer than `ENOUGH_PASS_TOKENS` fit.
    A pass holds at least one row at the limits, whether or not it is expected to fit.
    """
    usable = max(0, int(free_bytes * _USABLE_SHARE) - _FIXED_BYTES)
    of_slot = slot_bytes(parameters_per_rank, rank=rank, training=True)
    if slots is None:
        slots = max(1, min(MAX_TRAINING_SLOTS, int(usable * _SLOTS_SHARE) // of_slot))
    for_passes = max(0, usable - slots * of_slot)

    def tokens(checkpointing: bool) -> int:
        of_token = training_bytes_per_token(
            shape,
            rank=rank,
            longest_input=longest_input,
            longest_output=longest_output,
            gradient_checkpointing=checkpointing,
        )
        return min(MAX_GPU_PASS_TOKENS, int(for_passes / of_token))

    if gradient_checkpointing is None:
        gradient_checkpointing = tokens(False) < ENOUGH_PASS_TOKENS
    return TrainingRoom(
        slots=slots,
        pass_tokens=max(longest_input + longest_output, tokens(gradient_checkpointing)),
        gradient_checkpointing=gradient_checkpointing,
    )


def serving_bytes_per_row(shape: ModelShape, *, beams: int, longest_input: int, longest_output: int) -> int:
    """Bytes of one row of a beam search at the limits.

    Keys and values of the input once a row, those of the answer once a beam (twice while beams are reordered), the
    encoder's widest layer while it runs, and the scores of a step.
    """
    layer = 2 * shape.inner * shape.itemsize
    cross = shape.decoder_layers * layer * longest_input
    own = 2 * shape.decoder_layers * layer * longest_output * beams
    scores = 4 * beams * shape.vocabulary * _FLOAT32_BYTES
    return cross + own + scores + passing_bytes(shape, source=longest_input, target=longest_output)


def fit_serving(
    free_bytes: int,
    shape: ModelShape,
    *,
    parameters_per_rank: int,
    rank: int,
    beams: int = 4,
    longest_input: int = 512,
    longest_output: int = 128,
) -> ServingRoom:
    """Share out a GPU's free memory: adapters up to a quarter of it, then rows."""
    usable = max(0, int(free_bytes * _USABLE_SHARE) - _FIXED_BYTES)
    of_slot = slot_bytes(parameters_per_rank, rank=rank, training=False)
    slots = max(1, min(MAX_SERVING_SLOTS, int(usable * _SLOTS_SHARE) // of_slot))
    of_row = serving_bytes_per_row(shape, beams=beams, longest_input=longest_input, longest_output=longest_output)
    # Each row's matrices are gathered once a batch; for a moment those of two batches lie there.
    of_row += 2 * of_slot
    rows = max(1, min(MAX_SERVING_ROWS, (usable - slots * of_slot) // of_row))
    return ServingRoom(slots=slots, rows=rows, batch_tokens=rows * longest_input)


def training_room(
    base: BaseModel,
    *,
    rank: int,
    slots: int | None = None,
    gradient_checkpointing: bool | None = None,
    longest_input: int = 512,
    longest_output: int = 128,
) -> TrainingRoom:
    """What trainings of adapters up to `rank` beside `base` may use now; None = chosen.

    On a GPU it follows the memory that is free, so ask for it when the base is loaded and before the slots are made.
    """
    free = free_gpu_bytes(base)
    if free is None:  # on a CPU memory is rarely the limit, and more users at once gain little
        return TrainingRoom(
            slots=DEFAULT_TRAINING_SLOTS if slots is None else slots,
            pass_tokens=MAX_PASS_TOKENS,
            gradient_checkpointing=bool(gradient_checkpointing),
        )
    return fit_training(
        free,
        shape_of(base),
        parameters_per_rank=base.projections.parameters_per_rank(),
        rank=rank,
        slots=slots,
        gradient_checkpointing=gradient_checkpointing,
        longest_input=longest_input,
        longest_output=longest_output,
    )


def serving_room(
    base: BaseModel, *, rank: int, beams: int = 4, longest_input: int = 512, longest_output: int = 128
) -> ServingRoom:
    """What generation with adapters up to `rank` beside `base` may use now."""
    free = free_gpu_bytes(base)
    if free is None:
        return ServingRoom(slots=DEFAULT_SLOTS, rows=MAX_ROWS, batch_tokens=MAX_ROWS * longest_input)
    return fit_serving(
        free,
        shape_of(base),
        parameters_per_rank=base.projections.parameters_per_rank(),
        rank=rank,
        beams=beams,
        longest_input=longest_input,
        longest_output=longest_output,
    )


def shape_of(base: BaseModel) -> ModelShape:
    return ModelShape.of(base.model.config, itemsize=base.dtype.itemsize)


def shared_out(free: dict[str, int], share: dict[str, float]) -> int:
    """Free bytes as of one GPU, where a model lies on several: what the fullest of them, by its share of the layers,
    would leave if it held them all."""
    return min(int(free[device] / share[device]) for device in share)


def free_gpu_bytes(base: BaseModel) -> int | None:
    """Free memory of the GPUs that hold the base model, as `shared_out` counts it; None where it is on a CPU."""
    projections = base.projections.projections
    share: dict[str, float] = {}
    for projection in projections:
        if projection.device.type != "cuda":
            return None
        share[str(projection.device)] = share.get(str(projection.device), 0.0) + 1 / len(projections)
    return shared_out({device: _free_bytes(device) for device in share}, share)


def _free_bytes(device: str) -> int:
    """What the driver has left, and what torch holds without using it."""
    free, _ = torch.cuda.mem_get_info(device)
    return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))


def _encoder_block(shape: ModelShape, *, source: int, rank: int) -> int:
    own = _attention(shape, rank=rank, projections=3)
    return source * (own + _feed_forward(shape))


def _decoder_block(shape: ModelShape, *, source: int, target: int, rank: int) -> int:
    own, cross = (_attention(shape, rank=rank, projections=projections) for projections in (3, 1))
    of_input = 2 * (shape.itemsize * shape.inner + _lora(shape, rank=rank))  # an input token's key and value
    return target * (own + cross + _feed_forward(shape)) + source * of_input


def _attention(shape: ModelShape, *, rank: int, projections: int) -> int:
    """Bytes a token keeps of an attention that projects it so often: its states before and after the norm, what LoRA
    keeps, queries, keys and values as far as they are its own, the outcome, and the sum of its scores."""
    states = _norm(shape) + shape.itemsize * shape.d_model
    attended = (projections + 1) * shape.itemsize * shape.inner + shape.heads * _FLOAT32_BYTES
    return states + projections * _lora(shape, rank=rank) + attended


def _feed_forward(shape: ModelShape) -> int:
    return _norm(shape) + (3 if shape.gated else 1) * shape.itemsize * shape.d_ff


def _norm(shape: ModelShape) -> int:
    return shape.itemsize * shape.d_model + _FLOAT32_BYTES


def _lora(shape: ModelShape, *, rank: int) -> int:
    """A mask, and the inner product."""
    return shape.d_model + rank * _FLOAT32_BYTES


def _of_all_layers(shape: ModelShape, *, source: int, target: int) -> int:
    """What every layer shares: the encoded input, biases of a row's scores, and where its tokens lie in a group."""
    biases = shape.itemsize * (shape.heads * (source * source + target * target) + source)
    places = 2 * _PLACE_BYTES * shape.heads * (2 * source + target)
    return shape.itemsize * shape.d_model * source + biases + places
