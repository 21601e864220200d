"""Cross-entropy of a frozen output layer, without keeping its logits."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

# Logits are made for this many values at a time (64 MiB in float32): a large vocabulary needs no large buffer.
_CHUNK_VALUES = 1 << 24


class _FrozenCrossEntropy(torch.autograd.Function):
    """Loss and gradient in one go: the gradient with respect to `hidden` is known as soon as the logits are."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
        precision = torch.promote_types(hidden.dtype, torch.float32)
        losses = torch.empty(len(targets), dtype=precision, device=hidden.device)
        gradient = torch.empty_like(hidden)
        rows = max(1, _CHUNK_VALUES // weight.shape[0])
        for start in range(0, len(targets), rows):
            part = slice(start, start + rows)
            logits = functional.linear(hidden[part], weight).to(precision)
            logits -= logits.amax(dim=1, keepdim=True)
            at_target = logits.gather(1, targets[part, None])
            probabilities = logits.exp_()
            total = probabilities.sum(dim=1, keepdim=True)
            losses[part] = (total.log() - at_target)[:, 0]
            share = shares[part, None].to(precision)
            probabilities *= share / total
            probabilities.scatter_add_(1, targets[part, None], -share)
            gradient[part] = probabilities.to(weight.dtype) @ weight
        ctx.save_for_backward(gradient)
        ctx.mark_non_differentiable(losses)
        return torch.dot(losses, shares.to(precision)), losses

    @staticmethod
    def backward(ctx: Any, *of_outputs: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * of_outputs[0].to(gradient.dtype), None, None, None


def token_losses(hidden: Tensor, *, output_layer: Tensor, targets: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
    """−log softmax(hidden · output_layerᵀ)[target] of each position, in nats.

    Args:
        hidden: [positions, d_model], what the decoder says at the positions that have a target, and no others.
        output_layer: [vocabulary, d_model]; frozen, it gets no gradient.
        targets: [positions] token ids.
        shares: [positions], what each position counts in the sum.

    Returns:
        The sum weighted by `shares`, to differentiate, and the losses themselves, which have no gradient.
    """
    total, losses = _FrozenCrossEntropy.apply(hidden, output_layer, targets, shares)
    return total, losses
