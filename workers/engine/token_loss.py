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
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        precision = torch.promote_types(hidden.dtype, torch.float32)
        loss = torch.zeros((), dtype=precision, device=hidden.device)
        gradient = torch.empty_like(hidden)
        rows = max(1, _CHUNK_VALUES // weight.shape[0])
        for start in range(0, hidden.shape[0], rows):
            part = slice(start, start + rows)
            logits = functional.linear(hidden[part], weight).to(precision)
            logits -= logits.amax(dim=1, keepdim=True)
            at_target = logits.gather(1, targets[part, None])
            probabilities = logits.exp_()
            total = probabilities.sum(dim=1, keepdim=True)
            loss += (total.log() - at_target).sum()
            probabilities /= total
            probabilities.scatter_add_(1, targets[part, None], torch.full_like(at_target, -1.0))
            gradient[part] = probabilities.to(weight.dtype) @ weight
        ctx.save_for_backward(gradient)
        return loss

    @staticmethod
    def backward(ctx: Any, *of_loss: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * of_loss[0].to(gradient.dtype), None, None


def summed_token_loss(hidden: Tensor, *, output_layer: Tensor, targets: Tensor) -> Tensor:
    """The sum over positions of −log softmax(hidden · output_layerᵀ)[target], in nats.

    Args:
        hidden: [positions, d_model], what the decoder says at the positions that have a target, and no others.
        output_layer: [vocabulary, d_model]; frozen, it gets no gradient.
        targets: [positions] token ids.
    """
    loss: Tensor = _FrozenCrossEntropy.apply(hidden, output_layer, targets)
    return loss
