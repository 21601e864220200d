"""The decoder one token at a time, for several beams of several rows.

The same arithmetic as transformers' T5 decoder with a cache, without what a step of a single token can do without:
masks, cache objects and hooks. Cross-attention's keys and values are held once a row, since its beams share them.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers.activations import NewGELUActivation

from workers.engine.base_model import BaseModel
from workers.engine.lora import JoinedLora, RowLora

# Tokens by which the room for self-attention's keys and values grows.
_ROOM = 16


class Decoding:
    """Keys, values and masks of rows × beams in row-major order.

    Made while the pass of the same rows is active, which the encoded inputs' keys and values are computed in.

    Args:
        encoded, mask: the encoder's states [rows, length, d_model] and which of them count [rows, length].
        max_tokens: the most steps that will be made.
        lora: what the rows' adapters add, if any has one.
    """

    def __init__(
        self,
        base: BaseModel,
        encoded: Tensor,
        mask: Tensor,
        *,
        beams: int,
        max_tokens: int,
        lora: RowLora | None,
    ) -> None:
        self._base = base
        self._beams = beams
        self._max_tokens = max_tokens
        self._done = 0
        decoder = base.model.decoder
        # How far every attended-to position lies before the attending one, which is the last: [1, heads, 1, tokens].
        self._distance_bias: Tensor = (
            decoder.block[0].layer[0].SelfAttention.compute_bias(1, max_tokens, past_seen_tokens=max_tokens - 1)
        )
        blocked = (1 - mask[:, None, None, :]).to(base.dtype) * torch.finfo(base.dtype).min
        self._layers = [
            _Layer(base, place, encoded, blocked, beams=beams, lora=lora) for place in range(len(decoder.block))
        ]
        self._final_norm = _norm(decoder.final_layer_norm)

    def advance(self, tokens: Tensor) -> Tensor:
        """Feed one token to each beam, [rows × beams]; return float32 log-probabilities [rows × beams, vocabulary]."""
        base = self._base
        hidden = base.model.decoder.embed_tokens(tokens)
        # Made contiguous, since kernels want a bias that starts where memory is aligned.
        bias = self._distance_bias[..., self._max_tokens - 1 - self._done :].contiguous()
        for layer in self._layers:
            hidden = layer.step(hidden, bias)
        self._done += 1
        head = base.model.lm_head
        logits: Tensor = head((self._final_norm(hidden) * base.output_scale).to(head.weight.device))
        return logits.to(device=tokens.device, dtype=torch.float32).log_softmax(dim=-1)

    def reorder(self, beams: Tensor) -> None:
        """Let each beam go on from the beam of that index, [rows × beams]; beams are exchanged only within a row."""
        for layer in self._layers:
            layer.reorder(beams)

    def keep_rows(self, rows: Sequence[int]) -> None:
        """Go on with these rows only."""
        kept = torch.tensor(rows, device=self._base.input_device)
        beams = (kept[:, None] * self._beams + torch.arange(self._beams, device=kept.device)).flatten()
        for layer in self._layers:
            layer.reorder(beams)
            layer.keep_rows(kept)


class _Layer:
    """One block of the decoder, with the keys and values it has to remember."""

    def __init__(
        self,
        base: BaseModel,
        place: int,
        encoded: Tensor,
        blocked: Tensor,
        *,
        beams: int,
        lora: RowLora | None,
    ) -> None:
        block = base.model.decoder.block[place]
        own, cross, last = block.layer[0], block.layer[1], block.layer[-1]
        self._beams = beams
        self._heads: int = own.SelfAttention.n_heads
        self._device: torch.device = own.SelfAttention.q.weight.device
        self._own_norm = _norm(own.layer_norm)
        self._cross_norm = _norm(cross.layer_norm)
        self._last_norm = _norm(last.layer_norm)
        attention = own.SelfAttention
        self._own_weights: tuple[Tensor, ...] = (attention.q.weight, attention.k.weight, attention.v.weight)
        self._own_output: Tensor = attention.o.weight
        path = f"decoder.block.{place}.layer"
        self._own_lora = _joined(base, lora, [f"{path}.0.SelfAttention.{part}" for part in "qkv"])
        self._keys_values: Tensor | None = None  # [2, rows × beams, heads, room, features a head]
        self._done = 0
        attention = cross.EncDecAttention
        self._cross_weights: tuple[Tensor, ...] = (attention.q.weight,)
        self._cross_output: Tensor = attention.o.weight
        self._cross_lora = _joined(base, lora, [f"{path}.1.EncDecAttention.q"])
        encoded = encoded.to(self._device)
        self._cross_keys, self._cross_values = (
            projection(encoded).unflatten(2, (self._heads, -1)).transpose(1, 2).contiguous()
            for projection in (attention.k, attention.v)
        )  # [rows, heads, length, features a head]
        self._blocked = blocked.to(self._device)
        self._feed_forward = _feed_forward(last.DenseReluDense)

    def step(self, hidden: Tensor, bias: Tensor) -> Tensor:
        """The states of one more token a beam, [rows × beams, d_model]."""
        hidden = hidden.to(self._device)
        hidden = hidden + self._attend_to_own(self._own_norm(hidden), bias)
        hidden = hidden + self._attend_to_input(self._cross_norm(hidden))
        return hidden + self._feed_forward(self._last_norm(hidden))

    def reorder(self, beams: Tensor) -> None:
        if self._keys_values is not None:
            self._keys_values = self._keys_values.index_select(1, beams.to(self._device))

    def keep_rows(self, rows: Tensor) -> None:
        self._own_lora = self._own_lora and self._own_lora.keep_rows(rows)
        self._cross_lora = self._cross_lora and self._cross_lora.keep_rows(rows)
        rows = rows.to(self._device)
        self._cross_keys, self._cross_values = self._cross_keys[rows], self._cross_values[rows]
        self._blocked = self._blocked[rows]

    def _attend_to_own(self, inputs: Tensor, bias: Tensor) -> Tensor:
        projected = _project(inputs, self._own_weights, self._own_lora).unflatten(2, (self._heads, -1))
        kept = self._with_room(projected)
        kept[:, :, :, self._done] = projected[1:]
        self._done += 1
        keys, values = kept[:, :, :, : self._done].unbind(0)
        mixed = _attention(projected[0].unsqueeze(2), keys, values, bias.to(self._device))
        return functional.linear(mixed.reshape(len(inputs), -1), self._own_output)

    def _with_room(self, like: Tensor) -> Tensor:
        """Where keys and values like those (two of [rows × beams, heads, features]) are kept, with room for more."""
        kept = self._keys_values
        if kept is None or kept.shape[3] == self._done:
            _, rows, heads, features = like.shape
            more = like.new_empty(2, rows, heads, _ROOM, features)
            kept = self._keys_values = more if kept is None else torch.cat([kept, more], dim=3)
        return kept

    def _attend_to_input(self, inputs: Tensor) -> Tensor:
        projected = _project(inputs, self._cross_weights, self._cross_lora)
        queries = projected.view(len(self._cross_keys), self._beams, self._heads, -1).transpose(1, 2)
        mixed = _attention(queries, self._cross_keys, self._cross_values, self._blocked)
        return functional.linear(mixed.transpose(1, 2).reshape(len(inputs), -1), self._cross_output)


def _joined(base: BaseModel, lora: RowLora | None, names: Sequence[str]) -> JoinedLora | None:
    return None if lora is None else lora.joined(*(base.projections.place[name] for name in names))


def _project(inputs: Tensor, weights: Sequence[Tensor], lora: JoinedLora | None) -> Tensor:
    """What frozen projections of one width, with the adapters beside them, make of inputs: [projections, rows, out]."""
    outputs = inputs.new_empty(len(weights), len(inputs), len(weights[0]))
    for output, weight in zip(outputs.unbind(0), weights, strict=True):
        torch.mm(inputs, weight.t(), out=output)
    if lora is not None:
        lora.add(inputs, outputs)
    return outputs


def _attention(queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Tensor:
    """T5's attention, which scales nothing: [rows, heads, queries, features a head]."""
    if queries.device.type != "cpu" or queries.dtype != torch.float32:
        return functional.scaled_dot_product_attention(queries, keys, values, attn_mask=bias, scale=1.0)
    # On a CPU plain products are up to three times faster than the fused kernel for the few queries of a step.
    weights = torch.matmul(queries, keys.transpose(2, 3))
    weights += bias
    return torch.matmul(weights.softmax(dim=-1), values)


def _norm(module: Any) -> Callable[[Tensor], Tensor]:
    weight: Tensor = module.weight
    if weight.dtype != torch.float32:
        return module  # rounds between its steps, which the fused one does not
    shape, epsilon = weight.shape, module.variance_epsilon
    return lambda hidden: functional.rms_norm(hidden, shape, weight, epsilon)


def _feed_forward(module: Any) -> Callable[[Tensor], Tensor]:
    """A block's feed-forward layer, gated or not."""
    activation: Callable[[Tensor], Tensor] = module.act
    if isinstance(activation, NewGELUActivation):
        activation = _gelu
    output: Tensor = module.wo.weight
    gated = hasattr(module, "wi_0")
    first: Tensor = (module.wi_0 if gated else module.wi).weight
    second: Tensor | None = module.wi_1.weight if gated else None

    def apply(hidden: Tensor) -> Tensor:
        inner = activation(functional.linear(hidden, first))
        if second is not None:
            inner = inner * functional.linear(hidden, second)
        return functional.linear(inner.to(output.dtype), output)

    return apply


def _gelu(hidden: Tensor) -> Tensor:
    return functional.gelu(hidden, approximate="tanh")
