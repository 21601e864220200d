"""T5's forward pass in training: the arithmetic of transformers' modules over rows without padding.

Norms, projections, feed-forward layers and the loss run over real tokens only, attention over padded groups of rows
of similar length. Weights are read from the modules, which may lie on several devices; of the modules' own forward
only embeddings, position biases and activations are used.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from workers.engine.base_model import BaseModel
from workers.engine.lora_training import TrainedRows
from workers.engine.packed_attention import AttentionLayout, attend
from workers.engine.packing import PackedPairs
from workers.engine.token_loss import token_losses


def packed_loss(
    base: BaseModel, part: PackedPairs, rows: TrainedRows, *, shares: Tensor, recompute: bool = False
) -> tuple[Tensor, Tensor]:
    """The target tokens' losses summed by their shares, to differentiate, and the losses; both as `token_losses` does.

    Args:
        rows: whose adapter each row trains; backward adds to their gradients.
        shares: [targets], what each target token counts.
        recompute: keep only the inputs of each block, and compute the rest again on the way back. Gradients are the
            same: nothing draws random numbers, and LoRA's dropout is a function of its key.
    """
    model = base.model
    layouts: dict[torch.device, AttentionLayout] = {}

    def run(block: Any, path: str, hidden: Tensor, encoded: Tensor | None = None) -> Tensor:
        device = block.layer[0].SelfAttention.q.weight.device
        if device not in layouts:
            layouts[device] = AttentionLayout(model, part, device=device)
        through = partial(_Block(block, path, rows, layouts[device]).forward, device=device)
        if recompute:
            again: Tensor = checkpoint(through, hidden, encoded, use_reentrant=False, preserve_rng_state=False)
            return again
        return through(hidden, encoded)

    encoded = model.encoder.embed_tokens(part.sources)
    for place, block in enumerate(model.encoder.block):
        encoded = run(block, f"encoder.block.{place}", encoded)
    encoded = _norm(encoded, model.encoder.final_layer_norm)
    hidden = model.decoder.embed_tokens(part.decoder_inputs)
    for place, block in enumerate(model.decoder.block):
        hidden = run(block, f"decoder.block.{place}", hidden, encoded)
    hidden = _norm(hidden, model.decoder.final_layer_norm)
    head = model.lm_head.weight
    return token_losses(
        (hidden * base.output_scale).to(head.device),
        output_layer=head,
        targets=part.targets.to(head.device),
        shares=shares.to(head.device),
    )


class _Block:
    """A block of the encoder, or of the decoder, which also attends to what is `encoded`."""

    def __init__(self, block: Any, path: str, rows: TrainedRows, layout: AttentionLayout) -> None:
        self._layers = block.layer
        self._path = path
        self._rows = rows
        self._layout = layout

    def forward(self, hidden: Tensor, encoded: Tensor | None, *, device: torch.device) -> Tensor:
        """The states [tokens, d_model] after the block."""
        hidden = hidden.to(device)
        if encoded is None:
            return self._feed_forward(self._attend_to_own(hidden, of_sources=True))
        hidden = self._attend_to_own(hidden, of_sources=False)
        return self._feed_forward(self._attend_to_input(hidden, encoded.to(device)))

    def _attend_to_own(self, hidden: Tensor, *, of_sources: bool) -> Tensor:
        layer, layout = self._layers[0], self._layout
        attention = layer.SelfAttention
        named = _named(attention, f"{self._path}.layer.0.SelfAttention", "qkv")
        q, k, v = self._rows.project(_norm(hidden, layer.layer_norm), named, of_sources=of_sources)
        padding = layout.sources if of_sources else layout.targets
        biases = layout.source_bias if of_sources else layout.target_bias
        return _plus(hidden, attend(q, k, v, of_queries=padding, of_keys=padding, biases=biases), attention.o)

    def _attend_to_input(self, hidden: Tensor, encoded: Tensor) -> Tensor:
        layer, layout = self._layers[1], self._layout
        attention = layer.EncDecAttention
        path = f"{self._path}.layer.1.EncDecAttention"
        normed = _norm(hidden, layer.layer_norm)
        (q,) = self._rows.project(normed, _named(attention, path, "q"), of_sources=False)
        k, v = self._rows.project(encoded, _named(attention, path, "kv"), of_sources=True)
        mixed = attend(q, k, v, of_queries=layout.targets, of_keys=layout.attended, biases=layout.cross_bias)
        return _plus(hidden, mixed, attention.o)

    def _feed_forward(self, hidden: Tensor) -> Tensor:
        layer = self._layers[-1]
        dense = layer.DenseReluDense
        inputs = _norm(hidden, layer.layer_norm)
        if hasattr(dense, "wi_0"):
            gate = dense.act(functional.linear(inputs, dense.wi_0.weight))
            return _plus(hidden, gate * functional.linear(inputs, dense.wi_1.weight), dense.wo)
        return _plus(hidden, dense.act(functional.linear(inputs, dense.wi.weight)), dense.wo)


def _named(attention: Any, path: str, letters: str) -> dict[str, Any]:
    """Projections of an attention by their paths in the model."""
    return {f"{path}.{letter}": getattr(attention, letter) for letter in letters}


def _plus(hidden: Tensor, inner: Tensor, output: Any) -> Tensor:
    """hidden + output(inner)."""
    return torch.addmm(hidden, inner, output.weight.t())


def _norm(hidden: Tensor, module: Any) -> Tensor:
    normed: Tensor = _RmsNorm.apply(hidden.to(module.weight.device), module.weight, module.variance_epsilon)
    return normed


class _RmsNorm(torch.autograd.Function):
    """T5's norm; the mean square is taken in float32 whatever the model's precision, as transformers does.

    By hand, because backward reads and writes a third of what autograd would.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        scale = hidden.float().square().mean(-1, keepdim=True).add_(epsilon).rsqrt_()
        ctx.save_for_backward(hidden, scale)
        ctx.weight = weight
        return (hidden * scale).mul_(weight).to(weight.dtype)

    @staticmethod
    def backward(ctx: Any, *of_outputs: Tensor) -> tuple[Tensor, None, None]:
        hidden, scale = ctx.saved_tensors
        gradient = of_outputs[0].to(torch.promote_types(hidden.dtype, torch.float32)) * ctx.weight
        of_scale = (gradient * hidden).sum(-1, keepdim=True).float()
        of_square = of_scale.neg_().mul_(scale.pow(3)).div_(hidden.shape[-1])
        return gradient.mul_(scale).add_(hidden.float().mul(of_square)).to(hidden.dtype), None, None
