"""AdamW, clipping and learning-rate schedule, each adapter's own although their weights are stacked."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from workers.engine.hyperparameters import Hyperparameters
from workers.engine.lora import Bank, LoraSlots

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
_CLIP_EPSILON = 1e-6  # as in torch.nn.utils.clip_grad_norm_


def linear_schedule(step: int, *, total: int, warmup_ratio: float) -> float:
    """The factor of the learning rate at optimizer step `step`, counted from 0.

    It rises from 0 over ceil(warmup_ratio × total) steps, then falls linearly to 0 (LaMP reference §6; the same as
    transformers' `get_linear_schedule_with_warmup`, whose first step has a rate of 0 where there is a warm-up).
    """
    warmup = math.ceil(warmup_ratio * total)
    if step < warmup:
        return step / max(1, warmup)
    return max(0.0, (total - step) / max(1, total - warmup))


class SlotAdamW:
    """torch.optim.AdamW's arithmetic over slots; moments and step counts are kept per slot.

    A slot's update reads and writes that slot alone, so it comes out the same to the byte whoever else is stacked.
    """

    def __init__(self, slots: LoraSlots) -> None:
        self._slots = slots
        self._banks = slots.banks
        self._first = [torch.zeros_like(bank.values) for bank in slots.banks]
        self._second = [torch.zeros_like(bank.values) for bank in slots.banks]
        self.steps = [0] * slots.slots

    @torch.no_grad()
    def reset(self, slot: int) -> None:
        """Forget a slot's past before a new adapter starts in it."""
        self.steps[slot] = 0
        self.discard(slot)
        for moments in (*self._first, *self._second):
            moments[slot].zero_()

    def moments(self, slot: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Copies of the slot's first and second moments, by peft's names of the weights they belong to."""
        return self._slots.read(slot, self._first), self._slots.read(slot, self._second)

    def resume(self, slot: int, *, steps: int, first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> None:
        """Go on in a slot after `steps` steps with the moments of then."""
        self.reset(slot)
        self._slots.write(slot, first, self._first)
        self._slots.write(slot, second, self._second)
        self.steps[slot] = steps

    @torch.no_grad()
    def discard(self, slot: int) -> None:
        """Forget the gradient that a slot has accumulated."""
        for bank in self._banks:
            _gradients(bank)[slot].zero_()

    @torch.no_grad()
    def step(self, slot: int, *, learning_rate: float, hyperparameters: Hyperparameters) -> None:
        """Clip the slot's accumulated gradient by its norm, update its weights, and clear the gradient."""
        gradients = [_gradients(bank)[slot] for bank in self._banks]
        squares = [torch.dot(gradient, gradient).to(gradients[0].device) for gradient in gradients]
        norm = torch.stack(squares).sum().sqrt_()
        # On the device throughout: reading the norm would make a GPU wait for each slot in turn.
        clip = (hyperparameters.max_grad_norm / (norm + _CLIP_EPSILON)).clamp_(max=1.0)
        self.steps[slot] += 1
        correction_1 = 1.0 - BETA_1 ** self.steps[slot]
        correction_2 = math.sqrt(1.0 - BETA_2 ** self.steps[slot])
        for bank, first, second, gradient in zip(self._banks, self._first, self._second, gradients, strict=True):
            gradient.mul_(clip.to(gradient.device))
            values, mean, square = bank.values[slot], first[slot], second[slot]
            values.mul_(1.0 - learning_rate * hyperparameters.weight_decay)
            mean.lerp_(gradient, 1.0 - BETA_1)
            square.mul_(BETA_2).addcmul_(gradient, gradient, value=1.0 - BETA_2)
            values.addcdiv_(mean, square.sqrt().div_(correction_2).add_(EPSILON), value=-learning_rate / correction_1)
            gradient.zero_()


def _gradients(bank: Bank) -> Tensor:
    if bank.gradients is None:
        raise ValueError("these slots are not trainable")
    return bank.gradients
