"""The cost model (`training_app.costs`) against what training takes on this machine, in float32 on one thread.

The machine's matrix rate is that of one large product. `rate` is what the engine reaches of it, counting the model's
operations only: the utilization that `manage.py estimate_cost` assumes for a GPU, measured here for this machine.
`predicted` takes the rate of LaMP-7-like users and predicts from it how long users with LaMP-2-like lengths take: 1 is
a perfect prediction, above 1 was expected to take longer than it did. `small` is the model of the repository, `512` has
flan-t5-small's shape with random weights. Repeat with `python -m benchmarks cost_model`.
"""

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from transformers import AutoTokenizer

from benchmarks.figures import Figure
from benchmarks.random_models import random_t5
from benchmarks.workloads import PairLength, lamp_7_users, texts
from training_app.costs.flops import training_flops
from training_app.costs.lengths import TrainingWork, work_of_user
from training_app.costs.paper import TASKS, user_work
from training_app.costs.shapes import PUBLISHED, ModelShape, shape_from_config
from workers.engine.base_model import BaseModel, load_base_model, wrap
from workers.engine.hyperparameters import Hyperparameters
from workers.engine.threads import limit_threads
from workers.engine.training import TrainingRequest, train_adapter, train_adapters
from workers.small_models import SMALL_T5

ROUNDS = 5
MATRIX = 1024
# A film of LaMP-2 and its tag, in tokens.
FILM = PairLength(130, 3)
FILMS = 8
REFERENCE = "LaMP-7"
BRIEFLY = Hyperparameters(rank=8, epochs=1)

Lengths = Sequence[Sequence[PairLength]]


def run() -> list[Figure]:
    limit_threads(1)
    small = load_base_model(str(SMALL_T5))
    small_shape = shape_from_config(json.loads((SMALL_T5 / "config.json").read_text()))
    figures = _figures("small", small, small_shape, users=8, epochs=2)
    return figures + _figures("512", _flan_t5_small(), PUBLISHED["google/flan-t5-small"], users=4, epochs=1)


def _figures(name: str, base: BaseModel, shape: ModelShape, *, users: int, epochs: int) -> list[Figure]:
    hyperparameters = replace(BRIEFLY, epochs=epochs)
    tweets, films = lamp_7_users(users), [[FILM] * FILMS] * 2
    requests = _requests(base, tweets, hyperparameters)
    longer = _requests(base, films, hyperparameters)
    seconds = _in_turn(
        _multiply(),
        lambda: train_adapters(base, requests),
        lambda: [_alone(base, request) for request in requests[:2]],
        lambda: train_adapters(base, longer),
    )
    matrix = [2 * MATRIX**3 / taken for taken in seconds[0]]
    together, alone, of_films = (
        [_flops(shape, lengths, hyperparameters) / one for one in taken]
        for lengths, taken in zip((tweets, tweets[:2], films), seconds[1:], strict=True)
    )
    machine = f"of {statistics.median(matrix) / 1e9:.0f} GFLOP/s in a matrix product"
    whole = user_work(REFERENCE) * TASKS[REFERENCE].test_questions
    hours = training_flops(shape, rank=BRIEFLY.rank, tokens=whole.tokens).total / statistics.median(together) / 3600
    split = f"{REFERENCE}'s test split, 50 epochs, rank {BRIEFLY.rank}: {hours:.3g} h at this rate"
    return [
        Figure(
            f"cost_rate_{name}",
            _median_ratio(together, matrix),
            statistics.median(together) / 1e9,
            "GFLOP/s",
            f"{users} LaMP-7-like users together, {machine}; {split}",
        ),
        Figure(
            f"cost_rate_alone_{name}",
            _median_ratio(alone, matrix),
            statistics.median(alone) / 1e9,
            "GFLOP/s",
            f"LaMP-7-like users one by one (exact mode), {machine}",
        ),
        Figure(
            f"cost_predicted_{name}",
            _median_ratio(of_films, together),
            statistics.median(seconds[3]),
            "s",
            "LaMP-2-like users, predicted from the rate of LaMP-7-like ones: "
            f"{_flops(shape, films, hyperparameters) / statistics.median(together):.3g} s",
        ),
    ]


def _in_turn(*calls: Callable[[], object]) -> list[list[float]]:
    """Seconds of each call in each round (A B C A B C …)."""
    seconds: list[list[float]] = [[] for _ in calls]
    for call in calls:
        call()  # once unmeasured: memory is allocated, kernels are chosen
    for _ in range(ROUNDS):
        for call, taken in zip(calls, seconds, strict=True):
            begun = time.perf_counter()
            call()
            taken.append(time.perf_counter() - begun)
    return seconds


def _median_ratio(ours: Sequence[float], others: Sequence[float]) -> float:
    return statistics.median(one / other for one, other in zip(ours, others, strict=True))


def _multiply() -> Callable[[], object]:
    source = torch.Generator().manual_seed(0)
    left, right = (torch.randn(MATRIX, MATRIX, generator=source) for _ in range(2))
    out = torch.empty(MATRIX, MATRIX)
    return lambda: torch.mm(left, right, out=out)


def _flops(shape: ModelShape, users: Lengths, hyperparameters: Hyperparameters) -> float:
    work = TrainingWork()
    for pairs in users:
        work += work_of_user(pairs, epochs=hyperparameters.epochs, batch_size=hyperparameters.batch_size)
    return training_flops(shape, rank=hyperparameters.rank, tokens=work.tokens).total


def _requests(base: BaseModel, users: Lengths, hyperparameters: Hyperparameters) -> list[TrainingRequest]:
    pairs = texts(users, base.tokenizer)
    return [TrainingRequest(own, hyperparameters, seed=user) for user, own in enumerate(pairs)]


def _alone(base: BaseModel, request: TrainingRequest) -> object:
    return train_adapter(base, pairs=request.pairs, hyperparameters=request.hyperparameters, seed=request.seed)


def _flan_t5_small() -> BaseModel:
    """flan-t5-small's shape with random weights; the small model's tokenizer, whose tokens are among its own."""
    model = random_t5(PUBLISHED["google/flan-t5-small"])
    return wrap(model, AutoTokenizer.from_pretrained(SMALL_T5), name="flan-t5-small's shape", revision="seed-0")
