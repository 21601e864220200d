"""The decoder one token at a time, for several beams of several rows."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, EncoderDecoderCache

from workers.engine.base_model import BaseModel


class Decoding:
    """Keys, values and masks of rows × beams in row-major order.

    Cross-attention's keys and values are computed once a row and repeated for its beams; as beams are exchanged
    only within a row, they need not be reordered. The base model's active pass decides about adapters.
    """

    def __init__(self, base: BaseModel, encoded: Tensor, mask: Tensor, *, beams: int) -> None:
        self._base = base
        self._beams = beams
        self._mask = mask.repeat_interleave(beams, dim=0)
        rows, length, _ = encoded.shape
        cross = DynamicCache()
        for index, block in enumerate(base.model.decoder.block):
            attention = block.layer[1].EncDecAttention
            keys, values = (
                projection(encoded)
                .view(rows, length, attention.n_heads, attention.key_value_proj_dim)
                .transpose(1, 2)
                .repeat_interleave(beams, dim=0)
                for projection in (attention.k, attention.v)
            )
            cross.update(keys, values, index)
        self._cache = EncoderDecoderCache(DynamicCache(), cross)

    def advance(self, tokens: Tensor) -> Tensor:
        """Feed one token to each beam, [rows × beams]; return float32 log-probabilities [rows × beams, vocabulary]."""
        base = self._base
        # With cross-attention's keys and values cached, only the shape of the encoder's states is still looked at.
        encoded = self._mask.new_empty(1, dtype=base.dtype).expand(*self._mask.shape, base.model.config.d_model)
        decoded = base.model.decoder(
            input_ids=tokens[:, None],
            encoder_hidden_states=encoded,
            encoder_attention_mask=self._mask,
            past_key_values=self._cache,
            use_cache=True,
        )
        head = base.model.lm_head
        hidden = decoded.last_hidden_state[:, -1] * base.output_scale
        logits: Tensor = head(hidden.to(head.weight.device))
        return logits.to(device=tokens.device, dtype=torch.float32).log_softmax(dim=-1)

    def reorder(self, beams: Tensor) -> None:
        """Let each beam go on from the beam of that index, [rows × beams]."""
        own: Any = self._cache.self_attention_cache
        own.reorder_cache(beams)

    def keep_rows(self, rows: Sequence[int]) -> None:
        """Go on with these rows only."""
        first = torch.tensor(rows, device=self._mask.device)[:, None] * self._beams
        kept = (first + torch.arange(self._beams, device=self._mask.device)).flatten()
        self._mask = self._mask[kept]
        self._cache.batch_select_indices(kept)
