"""Text embeddings by a Hugging Face encoder: mean pooling over the attention mask, no normalisation."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoTokenizer

from workers.engine.alignment import align
from workers.engine.batches import padded, token_ids
from workers.engine.sources import ModelRefused, settle

ANY_LENGTH = 1 << 30


@dataclass(frozen=True, eq=False)
class Encoder:
    """A frozen encoder with its tokenizer; `dimension` is the length of its vectors."""

    model: Any = field(repr=False)
    tokenizer: Any = field(repr=False)
    name: str
    revision: str
    device: str
    dimension: int


def load_encoder(
    name_or_path: str, *, revision: str | None = None, device: str = "cpu", name: str | None = None
) -> Encoder:
    """Load an encoder (BERT and its like) by hub name or folder, in float32.

    A folder must hold safetensors. From the hub, a model published only as `pytorch_model.bin` (facebook/contriever
    is one) is accepted too: transformers reads it with `torch.load(weights_only=True)`, which runs no code.

    Raises:
        ModelUnavailable, ModelRefused: as `load_base_model` does.
    """
    source = settle(name_or_path, revision=revision)
    config = source.load(AutoConfig.from_pretrained)
    if getattr(config, "is_encoder_decoder", False) or getattr(config, "is_decoder", False):
        raise ModelRefused(f"{name_or_path} is a {config.model_type} model; an encoder such as BERT is needed.")
    if source.in_folder and not list(Path(name_or_path).glob("*.safetensors")):
        raise ModelRefused(f"The folder {name_or_path} holds no safetensors; other weight files are not read.")
    model = source.load(
        AutoModel.from_pretrained, dtype=torch.float32, use_safetensors=True if source.in_folder else None
    )
    tokenizer = source.load(AutoTokenizer.from_pretrained)
    return wrap_encoder(model.to(device), tokenizer, name=name or name_or_path, revision=source.revision, device=device)


def wrap_encoder(model: Any, tokenizer: Any, *, name: str, revision: str, device: str = "cpu") -> Encoder:
    """Freeze an encoder that is in memory already."""
    align(model)
    model.eval()
    model.requires_grad_(False)
    return Encoder(
        model=model,
        tokenizer=tokenizer,
        name=name,
        revision=revision,
        device=device,
        dimension=int(model.config.hidden_size),
    )


def encode(
    encoder: Encoder,
    texts: Sequence[str],
    *,
    max_tokens: int = 512,
    batch_size: int = 32,
    exact: bool | None = None,
) -> np.ndarray:
    """The mean of each text's last hidden states over its tokens, [texts, dimension] float32.

    Args:
        exact: encode one text a pass, so that its vector does not depend on its neighbours to the byte (padding, and
            the number of rows of a matrix product, change last digits). Where not given: yes on a CPU, where it costs
            little with any model but a tiny one (docs/decisions/0004-engine.md); no on a GPU.
        batch_size: texts a pass where not exact; they are sorted by length.
    """
    exact = encoder.device == "cpu" if exact is None else exact
    vectors = np.zeros((len(texts), encoder.dimension), dtype=np.float32)
    if not texts:
        return vectors
    ids = token_ids(encoder.tokenizer, texts, limit=max_tokens)
    for batch in _batches(ids, size=1 if exact else batch_size):
        pooled = _encode_batch(encoder, [ids[index] for index in batch])
        vectors[batch] = pooled
    return vectors


def _batches(ids: Sequence[Sequence[int]], *, size: int) -> Iterator[list[int]]:
    with_tokens = [index for index, row in enumerate(ids) if row]
    order = sorted(with_tokens, key=lambda index: (len(ids[index]), index))
    for start in range(0, len(order), size):
        yield order[start : start + size]


def _encode_batch(encoder: Encoder, ids: Sequence[Sequence[int]]) -> np.ndarray:
    input_ids, mask = (part.to(encoder.device) for part in padded(ids, pad=encoder.tokenizer.pad_token_id or 0))
    with torch.inference_mode():
        hidden = encoder.model(input_ids=input_ids, attention_mask=mask).last_hidden_state
        pooled = mean_pool(hidden, mask)
    vectors: np.ndarray = pooled.cpu().numpy()
    return vectors


def mean_pool(hidden: Tensor, mask: Tensor) -> Tensor:
    """The mean over the positions where `mask` is 1; a text without any token gives zeros."""
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1.0)


def most_tokens(model: Any) -> int:
    """How many tokens a text may have for this encoder: its positions, less those that RoBERTa and its like keep free.

    `ANY_LENGTH` for an encoder without positions of its own.
    """
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            free = 0 if module.padding_idx is None else module.padding_idx + 1
            return module.num_embeddings - free
    return int(getattr(model.config, "max_position_embeddings", 0) or ANY_LENGTH)
