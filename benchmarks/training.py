"""Training many users' adapters in one pass, against peft + `Seq2SeqTrainer` user by user.

There are two baselines. The first is how peft's and transformers' documentation does it, and so how most people do: the
base model is loaded once, and each user gets `get_peft_model`, a `Seq2SeqTrainer` and `unload`. The second
(`_leanest_trainer`) is all that can be saved without leaving the two: peft wraps once and the LoRA weights are set
anew in place, and since a Trainer collects garbage for every user, what the process has loaded is kept out of the
collector's sight. Both: pairs tokenized once, dynamic padding, batches of 16, torch's fused AdamW, linear schedule,
clipping, and no checkpoints, evaluation, logging, progress bars or loader processes; initial weights are drawn before
the clock runs. Base models have no dropout of their own (docs/decisions/0004-engine.md); float32, one thread.

All sides see the same pairs in the same order. At dropout 0 all make the same adapters, which is asserted in float64
before the clock counts; the clock counts with the paper's dropout of 0.1 unless a figure's name says otherwise.

Users are LaMP-7-like (`benchmarks.workloads`). What a Trainer takes to start, about a quarter of a second with the
first baseline, weighs less the longer it trains, so ratios fall with the epochs: users with few documents, who feel it
most, are measured at 6 epochs, as `make demo` trains this model, and at the paper's 50.

`_256` and `_512` have random weights, `_512` in flan-t5-small's shape. Repeat with `python -m benchmarks training`.
"""

import gc
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor
from torch.utils.data import Sampler
from transformers import (
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    PrinterCallback,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    T5ForConditionalGeneration,
)
from transformers.utils import logging

from benchmarks.figures import Figure, Timing, compared, in_turn, side_by_side
from benchmarks.random_models import MIDDLE, random_t5
from benchmarks.workloads import PairLength, cold_start_users, lamp_7_users, texts
from training_app.costs.shapes import PUBLISHED
from workers.engine.base_model import BaseModel, wrap
from workers.engine.batches import effective_batches
from workers.engine.hyperparameters import Hyperparameters
from workers.engine.lora import LoraSlots
from workers.engine.threads import limit_threads
from workers.engine.training import TrainedAdapter, TrainingRequest, train_adapters
from workers.small_models import SMALL_T5

PAPER = Hyperparameters()
# Both sides in float64: what still differs is the order of sums.
TOLERANCE = 1e-9
ROUNDS = 5
SCALES = (1, 4, 16, 64)

Pairs = Sequence[tuple[str, str]]
LoadModel = Callable[[], T5ForConditionalGeneration]


# Larger models by what their figures are called.
LARGER = {"256": MIDDLE, "512": PUBLISHED["google/flan-t5-small"]}


def run() -> list[Figure]:
    limit_threads(1)
    with _quiet():
        return [*_small(), *_larger()]


def _small() -> list[Figure]:
    tokenizer = AutoTokenizer.from_pretrained(SMALL_T5)
    lamp_7, cold, many = (
        People.of(users, _small_t5, tokenizer) for users in (lamp_7_users(16), cold_start_users(16), lamp_7_users(64))
    )
    _assert_equal(lamp_7, epochs=2)
    _assert_equal(cold, epochs=4)
    as_in_the_demo, longer = replace(PAPER, epochs=6), replace(PAPER, epochs=12)
    return [
        _against_trainer("train_u16_vs_trainer", lamp_7, as_in_the_demo),
        _against_trainer("train_u16_vs_leanest_trainer", lamp_7, longer, leanest=True),
        _against_trainer(
            "train_u16_vs_leanest_trainer_without_dropout", lamp_7, replace(longer, dropout=0.0), leanest=True, rounds=3
        ),
        _against_trainer("train_coldstart_vs_trainer", cold, as_in_the_demo),
        _against_trainer("train_coldstart_vs_trainer_50_epochs", cold, PAPER, rounds=3),
        _against_trainer("train_coldstart_vs_leanest_trainer", cold, PAPER, leanest=True),
        *_scaling(many, replace(PAPER, epochs=2)),
    ]


def _larger() -> Iterator[Figure]:
    tokenizer = AutoTokenizer.from_pretrained(SMALL_T5)
    # The larger a step is, the fewer of them outweigh what a Trainer takes to start.
    for name, epochs, most in (("256", 2, None), ("512", 1, PAPER.batch_size)):
        lamp_7, cold = (
            People.of(users, partial(random_t5, LARGER[name]), tokenizer)
            for users in (lamp_7_users(16, most=most), cold_start_users(16))
        )
        some, more = replace(PAPER, epochs=epochs), replace(PAPER, epochs=3 * epochs)
        yield _against_trainer(f"train_u16_vs_leanest_trainer_{name}", lamp_7, some, leanest=True, rounds=3)
        yield _against_trainer(f"train_coldstart_vs_leanest_trainer_{name}", cold, more, leanest=True, rounds=3)


def _small_t5() -> T5ForConditionalGeneration:
    return T5ForConditionalGeneration.from_pretrained(SMALL_T5, dtype=torch.float32)


@dataclass(frozen=True, eq=False)
class People:
    """Users with their pairs, and the base model that their adapters stand beside; a user's number is the seed.

    `load` gives a plain copy of the model, as transformers makes it.
    """

    load: LoadModel
    base: BaseModel
    pairs: Sequence[Pairs]

    @classmethod
    def of(cls, users: Sequence[Sequence[PairLength]], load: LoadModel, tokenizer: Any) -> "People":
        return cls(load, _beside(load(), tokenizer), texts(users, tokenizer))

    def in_float64(self) -> "People":
        return People(lambda: self.load().double(), _beside(self.load().double(), self.base.tokenizer), self.pairs)

    def by_engine(self, hyperparameters: Hyperparameters, *, slots: int) -> list[TrainedAdapter]:
        requests = [TrainingRequest(pairs, hyperparameters, seed) for seed, pairs in enumerate(self.pairs)]
        return train_adapters(self.base, requests, slots=slots)

    def initial_weights(self, hyperparameters: Hyperparameters) -> list[dict[str, Tensor]]:
        slots = LoraSlots(self.base.projections, slots=1, rank=hyperparameters.rank, dtype=self.base.adapter_dtype)
        weights = []
        for seed in range(len(self.pairs)):
            slots.reset(0, seed=seed, rank=hyperparameters.rank, alpha=hyperparameters.alpha)
            weights.append(slots.read(0))
        return weights


def _against_trainer(
    name: str,
    people: People,
    hyperparameters: Hyperparameters,
    *,
    slots: int = 16,
    leanest: bool = False,
    rounds: int = ROUNDS,
) -> Figure:
    trainer = UserByUser(people, hyperparameters, leanest=leanest)
    with _only_new_garbage() if leanest else nullcontext():
        timing = side_by_side(trainer.train_all, lambda: people.by_engine(hyperparameters, slots=slots), rounds=rounds)
    return _figure(name, people, hyperparameters, timing, slots)


def _scaling(people: People, hyperparameters: Hyperparameters) -> list[Figure]:
    """The same 64 users with 1, 4, 16 and 64 of them in a pass."""
    trainer = UserByUser(people, hyperparameters, leanest=True)
    calls: dict[str, Callable[[], object]] = {"trainer": trainer.train_all}
    for slots in SCALES:
        calls[str(slots)] = lambda slots=slots: people.by_engine(hyperparameters, slots=slots)
    with _only_new_garbage():
        seconds = in_turn(calls, rounds=3)
    return [
        _figure(
            f"train_64_users_u{slots}_vs_leanest_trainer",
            people,
            hyperparameters,
            compared(seconds["trainer"], seconds[str(slots)]),
            slots,
        )
        for slots in SCALES
    ]


def _figure(name: str, people: People, hyperparameters: Hyperparameters, timing: Timing, slots: int) -> Figure:
    users, pairs = len(people.pairs), sum(len(pairs) for pairs in people.pairs)
    parameters = people.base.model.num_parameters() / 1e6
    return Figure(
        name=name,
        ratio=timing.ratio,
        median=timing.ours / users,
        unit="s an adapter",
        detail=f"{users} users, {pairs} pairs, {hyperparameters.epochs} epochs, {slots} in a pass, "
        f"{parameters:.1f} M parameters; "
        f"peft + Trainer: {timing.baseline / users:.3f} s" + (": no gain" if timing.ratio <= 1 else ""),
    )


class UserByUser:
    """peft + Seq2SeqTrainer, one user after another, over a copy of the base model of its own.

    peft wraps it anew for each user, or (`leanest`) once.
    """

    def __init__(self, people: People, hyperparameters: Hyperparameters, *, leanest: bool) -> None:
        self._people = people
        self._hyperparameters = hyperparameters
        self._leanest = leanest
        self._initial = people.initial_weights(hyperparameters)
        self._model: Any = self._wrapped(people.load())
        self._collate = DataCollatorForSeq2Seq(people.base.tokenizer)
        self._folder = tempfile.TemporaryDirectory(prefix="lamppost-bench-")

    def train_all(self) -> list[dict[str, Tensor]]:
        """Every user's weights."""
        return [self.train(user)[0] for user in range(len(self._people.pairs))]

    def train(self, user: int, *, note_losses: bool = False) -> tuple[dict[str, Tensor], list[float]]:
        """One user's weights, and each step's loss where wanted."""
        if not self._leanest:
            self._model = self._wrapped(self._model.unload())
        weights = {
            name.replace(".default.", "."): parameter
            for name, parameter in self._model.named_parameters()
            if parameter.requires_grad
        }
        with torch.no_grad():
            for name, parameter in weights.items():
                parameter.copy_(self._initial[user][name])
        pairs = self._tokenized(self._people.pairs[user])
        trainer = _Trainer(
            model=self._model,
            args=self._arguments(),
            train_dataset=pairs,
            data_collator=self._collate,
            processing_class=self._people.base.tokenizer,
        )
        trainer.order = _EngineOrder(len(pairs), size=self._hyperparameters.batch_size, seed=user)
        trainer.losses = [] if note_losses else None
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        return {name: weight.detach().clone() for name, weight in weights.items()}, trainer.losses or []

    def _wrapped(self, model: Any) -> Any:
        config = LoraConfig(
            r=self._hyperparameters.rank,
            lora_alpha=self._hyperparameters.alpha,
            lora_dropout=self._hyperparameters.dropout,
            target_modules=["q", "k", "v"],
            task_type="SEQ_2_SEQ_LM",
        )
        return get_peft_model(model, config, autocast_adapter_dtype=False)

    def _tokenized(self, pairs: Pairs) -> list[dict[str, list[int]]]:
        tokenizer, limits = self._people.base.tokenizer, self._hyperparameters
        source = tokenizer([text for text, _ in pairs], truncation=True, max_length=limits.max_input_tokens)
        target = tokenizer([text for _, text in pairs], truncation=True, max_length=limits.max_output_tokens)
        columns = zip(source["input_ids"], source["attention_mask"], target["input_ids"], strict=True)
        return [{"input_ids": ids, "attention_mask": mask, "labels": labels} for ids, mask, labels in columns]

    def _arguments(self) -> Seq2SeqTrainingArguments:
        return Seq2SeqTrainingArguments(
            output_dir=self._folder.name,
            per_device_train_batch_size=self._hyperparameters.batch_size,
            num_train_epochs=self._hyperparameters.epochs,
            learning_rate=self._hyperparameters.learning_rate,
            lr_scheduler_type="linear",
            warmup_steps=self._hyperparameters.warmup_ratio,
            weight_decay=self._hyperparameters.weight_decay,
            max_grad_norm=self._hyperparameters.max_grad_norm,
            save_strategy="no",
            eval_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
            dataloader_num_workers=0,
            dataloader_pin_memory=False,
            remove_unused_columns=False,
            label_names=["labels"],
            use_cpu=True,
        )


class _EngineOrder(Sampler[int]):
    """A user's pairs in the order in which the engine takes them, epoch after epoch."""

    def __init__(self, count: int, *, size: int, seed: int) -> None:
        self._count, self._size, self._seed = count, size, seed
        self._epoch = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[int]:
        for batch in effective_batches(self._count, size=self._size, seed=self._seed, epoch=self._epoch):
            yield from batch
        self._epoch += 1


class _Trainer(Seq2SeqTrainer):
    """Follows an order of ours, and notes losses where they are compared."""

    order: _EngineOrder
    losses: list[float] | None

    def _get_train_sampler(self, *_: Any) -> _EngineOrder:
        return self.order

    def training_step(self, *arguments: Any, **options: Any) -> Tensor:
        loss = super().training_step(*arguments, **options)
        if self.losses is not None:
            self.losses.append(float(loss))
        return loss


def _assert_equal(people: People, *, epochs: int) -> None:
    """Without dropout and in float64, all sides make the same adapters by the same losses.

    In float32 they differ by more than sums do: Adam makes a whole step of a gradient's last digit where there is
    nothing else.
    """
    exact = people.in_float64()
    hyperparameters = replace(PAPER, epochs=epochs, dropout=0.0)
    trainers = [UserByUser(exact, hyperparameters, leanest=leanest) for leanest in (False, True)]
    for user, ours in enumerate(exact.by_engine(hyperparameters, slots=16)):
        for trainer in trainers:
            weights, losses = trainer.train(user, note_losses=True)
            assert weights.keys() == ours.weights.keys(), "the adapters have other matrices"
            assert _furthest(torch.tensor(losses), torch.tensor(ours.loss_curve)) < TOLERANCE, "the losses differ"
            for name, weight in weights.items():
                assert _furthest(weight, ours.weights[name]) < TOLERANCE, "the weights differ"


def _beside(model: T5ForConditionalGeneration, tokenizer: Any) -> BaseModel:
    assert model.config.dropout_rate == 0, "the base model's own dropout would act on one side only"
    return wrap(model, tokenizer, name="benchmark", revision="")


def _furthest(one: Tensor, other: Tensor) -> float:
    assert one.shape == other.shape, "there is more on one side"
    return float((one - other).abs().max())


@contextmanager
def _only_new_garbage() -> Iterator[None]:
    """Keep the collector from walking over all that is loaded, which Trainer has it do for every user."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def _quiet() -> Iterator[None]:
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
