"""The state of a training that is under way, as bytes: it goes on from there as if it had never stopped."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor

from workers.engine.base_model import BaseModel
from workers.engine.hyperparameters import Hyperparameters

_FORM = "1"
_WEIGHTS, _FIRST, _SECOND = "weights/", "first/", "second/"
# A safetensors file begins with the length of its JSON header.
_LENGTH_BYTES = 8
_MAX_HEADER_BYTES = 1 << 26
_PRECISIONS = (torch.float32, torch.float64)


class CheckpointRefused(ValueError):
    """These bytes are no checkpoint of this training; the message shows nothing of their content."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """One adapter after `done` optimizer steps: weights and AdamW's moments by peft's names, the losses so far.

    Batches, their order and dropout masks are functions of the adapter's seed and the step, so there is nothing else.
    """

    weights: Mapping[str, Tensor] = field(repr=False)
    first_moments: Mapping[str, Tensor] = field(repr=False)
    second_moments: Mapping[str, Tensor] = field(repr=False)
    done: int
    loss_curve: list[float] = field(repr=False)
    seconds: float


def checkpoint_bytes(checkpoint: Checkpoint, *, identity: str) -> bytes:
    """The checkpoint as one safetensors file; `identity` names what is being trained (all that decides it)."""
    parts = ((_WEIGHTS, checkpoint.weights), (_FIRST, checkpoint.first_moments), (_SECOND, checkpoint.second_moments))
    tensors = {prefix + name: tensor.contiguous() for prefix, part in parts for name, tensor in sorted(part.items())}
    state = {
        "form": _FORM,
        "identity": identity,
        "done": checkpoint.done,
        # repr keeps every bit of a float.
        "loss_curve": [repr(loss) for loss in checkpoint.loss_curve],
        "seconds": repr(checkpoint.seconds),
    }
    return save_safetensors(tensors, metadata={"training": json.dumps(state, sort_keys=True)})


def training_state(data: bytes) -> dict[str, Any]:
    """What stands in a checkpoint's header of its training. Raises CheckpointRefused."""
    try:
        length = int.from_bytes(data[:_LENGTH_BYTES], "little")
        if len(data) < _LENGTH_BYTES or length > min(len(data) - _LENGTH_BYTES, _MAX_HEADER_BYTES):
            raise CheckpointRefused("the checkpoint is no safetensors file")
        header = json.loads(data[_LENGTH_BYTES : _LENGTH_BYTES + length])
        state = json.loads(header["__metadata__"]["training"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointRefused("the checkpoint's header cannot be read") from error
    if not isinstance(state, dict):
        raise CheckpointRefused("the checkpoint's header cannot be read")
    return state


def read_checkpoint(data: bytes, *, identity: str, base: BaseModel, hyperparameters: Hyperparameters) -> Checkpoint:
    """The inverse of `checkpoint_bytes`.

    Raises:
        CheckpointRefused: not a whole checkpoint of the training that `identity` names.
    """
    state = training_state(data)
    if state.get("form") != _FORM or state.get("identity") != identity:
        raise CheckpointRefused("the checkpoint belongs to another training")
    try:
        done, curve = int(state["done"]), [float(loss) for loss in state["loss_curve"]]
        seconds = float(state["seconds"])
        tensors = load_safetensors(data)
    except (KeyError, TypeError, ValueError, OverflowError, SafetensorError) as error:
        raise CheckpointRefused("the checkpoint is damaged") from error
    if done < 0 or len(curve) != done or not all(map(math.isfinite, (*curve, seconds))):
        raise CheckpointRefused("the checkpoint's steps and losses do not fit together")
    shapes = base.projections.shapes(hyperparameters.rank)
    expected = {prefix + name: shape for prefix in (_WEIGHTS, _FIRST, _SECOND) for name, shape in shapes.items()}
    if expected.keys() != tensors.keys():
        raise CheckpointRefused("the checkpoint's tensors are not those of this base model")
    for name, shape in expected.items():
        tensor = tensors[name]
        if tuple(tensor.shape) != shape or tensor.dtype not in _PRECISIONS or not bool(torch.isfinite(tensor).all()):
            raise CheckpointRefused(
                "a tensor of the checkpoint has another shape or type, or values that are not finite"
            )
    return Checkpoint(
        weights={name: tensors[_WEIGHTS + name] for name in shapes},
        first_moments={name: tensors[_FIRST + name] for name in shapes},
        second_moments={name: tensors[_SECOND + name] for name in shapes},
        done=done,
        loss_curve=curve,
        seconds=seconds,
    )
