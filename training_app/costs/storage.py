"""Bytes of a stored adapter: a plain PEFT folder of values, their header, and a configuration."""

import json

from training_app.costs.shapes import ModelShape

BYTES_A_VALUE = {"bfloat16": 2, "float32": 4}
_NAMES = {"bfloat16": "BF16", "float32": "F32"}
# `adapter_config.json`: keys and values of a few words each, and the base model's name and revision.
CONFIG_BYTES = 550
_PREFIX = "base_model.model."


def adapter_bytes(shape: ModelShape, *, rank: int, dtype: str) -> int:
    """Bytes of both files: the weights exactly, the configuration to some tens of bytes (its names differ)."""
    return weights_file_bytes(shape, rank=rank, dtype=dtype) + CONFIG_BYTES


def weights_file_bytes(shape: ModelShape, *, rank: int, dtype: str) -> int:
    """Bytes of `adapter_model.safetensors`: 8 for the header's length, the header padded to 8, the values."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, dimensions in sorted(_tensors(shape, rank).items()):
        end = at + BYTES_A_VALUE[dtype] * dimensions[0] * dimensions[1]
        header[name] = {"dtype": _NAMES[dtype], "shape": dimensions, "data_offsets": [at, end]}
        at = end
    size = len(json.dumps(header, separators=(",", ":")))
    return 8 + -(-size // 8) * 8 + at


def _tensors(shape: ModelShape, rank: int) -> dict[str, tuple[int, int]]:
    """Names (peft's) and shapes of an adapter's tensors."""
    attentions = [f"encoder.block.{block}.layer.0.SelfAttention" for block in range(shape.num_layers)]
    for block in range(shape.num_decoder_layers):
        attentions += [f"decoder.block.{block}.layer.0.SelfAttention", f"decoder.block.{block}.layer.1.EncDecAttention"]
    tensors: dict[str, tuple[int, int]] = {}
    for attention in attentions:
        for projection in ("q", "k", "v"):
            tensors[f"{_PREFIX}{attention}.{projection}.lora_A.weight"] = (rank, shape.d_model)
            tensors[f"{_PREFIX}{attention}.{projection}.lora_B.weight"] = (shape.inner, rank)
    return tensors
