"""What retraining on schedule gains with the small T5, on users of the synthetic benchmark whose traits drift:
`python -m workers.small_models.retraining_measuring [--users N] [--seed S] [--drift D] [--epochs E] [--tasks LIST]`.

A user's documents come in order of time. A sweep comes when so many of them are there (`SWEEPS`); until the next one,
whatever serves answers for the documents that come in between, before anything has learned from them. Three ways of
serving see the same documents:

- never: the adapter of the first sweep stays;
- always: each sweep's adapter, of all documents so far, serves at once;
- promoted: as `training_app.retraining` does it: a trial without the newest documents is measured on those, beside the
  adapter that serves and none, and the new adapter serves if the trial won.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from transformers import logging

from eval_app.significance import sign_flip_p
from lamp.catalogue import get_task
from lamp.metrics import sample_scores
from lamp.pairs import TrainingPair, pair_of
from lamp.synthetic.population import people
from lamp.tasks import Task
from training_app.retraining.holding_out import HeldOut, ProfileDocument, hold_out
from training_app.retraining.judging import Candidate, judge
from workers.engine.adapters import AdapterWeights
from workers.engine.base_model import BaseModel, load_base_model
from workers.engine.generation import GenerationRow, generate
from workers.engine.hyperparameters import Hyperparameters
from workers.engine.training import TrainingRequest, train_adapters
from workers.small_models import SMALL_T5
from workers.small_models.measuring import ADAPTERS

SEED = 2028
# Traits change once, when 40 % to 80 % of a user's time is over.
SWEEPS = (0.4, 0.55, 0.7, 0.85)
HELD_OUT_SHARE, HELD_OUT_MOST = 0.2, 10
MAX_OUTPUT_TOKENS = 48
ROWS = 64
# LaMP-1 is left out: the small T5 answers it alike whatever it has learned.
TASKS = ("LaMP-2", "LaMP-3", "LaMP-4", "LaMP-5", "LaMP-6", "LaMP-7")
NONE, NEVER, ALWAYS, PROMOTED = WAYS = ("none", "never", "always", "promoted")


@dataclass(frozen=True)
class Life:
    """A user's documents as pairs in order of time, and how many there were at each sweep and at the end."""

    user_id: int
    documents: tuple[ProfileDocument, ...]
    pairs: tuple[TrainingPair, ...]
    looks: tuple[int, ...]

    def between(self, sweep: int) -> range:
        """The places of the documents that come after that sweep and before the next."""
        return range(self.looks[sweep], self.looks[sweep + 1])


@dataclass(frozen=True)
class Measured:
    """One task: each way's metric on the documents after the second and later sweeps, a user's mean first; and what
    became of the trials.
    """

    metric: str
    higher_is_better: bool
    by_user: Mapping[str, np.ndarray]
    outcomes: Mapping[Candidate, int]

    def mean(self, way: str) -> float:
        return float(self.by_user[way].mean())

    def p(self, way: str, other: str) -> float:
        """Of the difference between two ways, paired by user."""
        return sign_flip_p(self.by_user[way] - self.by_user[other])


def lives(task: Task, *, users: int, seed: int, drift: float) -> list[Life]:
    """Those of the first `users` users who have new documents between any two sweeps."""
    found = []
    for person in people(task.key, users=range(1, users + 1), seed=seed, strength=1.0, drift=drift):
        count = len(person.documents)
        looks = (*(int(share * count) for share in SWEEPS), count)
        if looks[0] < 2 or any(before == after for before, after in pairwise(looks)):
            continue
        documents = tuple(
            ProfileDocument(place, (one.day.year, one.day.month, one.day.day))
            for place, one in enumerate(person.documents)
        )
        pairs = tuple(pair_of(task, one.fields) for one in person.documents)
        found.append(Life(person.user_id, documents, pairs, looks))
    return found


def measure(
    base: BaseModel, task_key: str, *, users: int, seed: int, drift: float, hyperparameters: Hyperparameters
) -> Measured:
    """Live through all sweeps of all users of one task."""
    task = get_task(task_key)
    crowd = lives(task, users=users, seed=seed, drift=drift)
    simulation = _Simulation(base, task, crowd, hyperparameters)
    for sweep in range(len(SWEEPS)):
        simulation.sweep(sweep)
    metric = task.primary_metric
    by_user = {way: np.array([np.mean(values) for values in simulation.scores[way]]) for way in WAYS}
    return Measured(metric.name, metric.higher_is_better, by_user, simulation.outcomes)


class _Simulation:
    """What serves for whom, sweep after sweep."""

    def __init__(self, base: BaseModel, task: Task, crowd: Sequence[Life], hyperparameters: Hyperparameters) -> None:
        self._base = base
        self._task = task
        self._crowd = crowd
        self._hyperparameters = hyperparameters
        # By user and sweep, the adapter of all documents so far; by user, the sweep whose adapter is promoted.
        self._adapters: list[list[AdapterWeights]] = [[] for _ in crowd]
        self._serving: list[int | None] = [None] * len(crowd)
        self.outcomes: Counter[Candidate] = Counter()
        self.scores: dict[str, list[list[float]]] = {way: [[] for _ in crowd] for way in WAYS}

    def sweep(self, sweep: int) -> None:
        """Train, judge, and answer for what comes until the next sweep."""
        held_out = [
            hold_out(
                life.documents[: life.looks[sweep]],
                share=HELD_OUT_SHARE,
                most=HELD_OUT_MOST,
                seen=range(life.looks[serving]) if serving is not None else (),
            )
            for life, serving in zip(self._crowd, self._serving, strict=True)
        ]
        whole = self._trained([range(life.looks[sweep]) for life in self._crowd])
        for own, adapter in zip(self._adapters, whole, strict=True):
            own.append(adapter)
        self._judge(sweep, held_out, self._trained([one.learned for one in held_out]))
        if sweep > 0:
            self._answer(sweep)

    def _trained(self, learned: Sequence[Sequence[int]]) -> list[AdapterWeights]:
        requests = [
            TrainingRequest([life.pairs[place] for place in places], self._hyperparameters, seed=life.user_id)
            for life, places in zip(self._crowd, learned, strict=True)
        ]
        return [adapter.as_weights() for adapter in train_adapters(self._base, requests)]

    def _judge(self, sweep: int, held_out: Sequence[HeldOut], trials: Sequence[AdapterWeights]) -> None:
        asked = []
        for user, (one, trial) in enumerate(zip(held_out, trials, strict=True)):
            candidates = {Candidate.TRIAL: trial, Candidate.OLD: self._promoted(user), Candidate.NONE: None}
            if candidates[Candidate.OLD] is None:
                del candidates[Candidate.OLD]
            asked += [
                ((user, candidate), adapter, place)
                for candidate, adapter in candidates.items()
                for place in one.measured
            ]
        scores: dict[int, dict[Candidate, list[float]]] = {}
        for ((user, candidate), _, _), score in zip(asked, self._scores(asked), strict=True):
            scores.setdefault(user, {}).setdefault(candidate, []).append(score)
        for user, found in scores.items():
            judgement = judge(found, higher_is_better=self._task.primary_metric.higher_is_better)
            self.outcomes[judgement.winner] += 1
            if judgement.winner == Candidate.TRIAL:
                self._serving[user] = sweep
            elif judgement.winner == Candidate.NONE:
                self._serving[user] = None

    def _answer(self, sweep: int) -> None:
        asked = [
            ((user, way), adapter, place)
            for user, life in enumerate(self._crowd)
            for way, adapter in (
                (NONE, None),
                (NEVER, self._adapters[user][0]),
                (ALWAYS, self._adapters[user][sweep]),
                (PROMOTED, self._promoted(user)),
            )
            for place in life.between(sweep)
        ]
        for ((user, way), _, _), score in zip(asked, self._scores(asked), strict=True):
            self.scores[way][user].append(score)

    def _promoted(self, user: int) -> AdapterWeights | None:
        serving = self._serving[user]
        return None if serving is None else self._adapters[user][serving]

    def _scores(self, asked: Sequence[tuple[tuple[int, str], AdapterWeights | None, int]]) -> list[float]:
        """The metric of what each adapter (None: the base model) answers for the user's document at that place."""
        answers: dict[tuple[int, str | None, int], str] = {}
        rows = {
            (user, None if adapter is None else adapter.digest, place): GenerationRow(
                self._crowd[user].pairs[place].input, adapter
            )
            for (user, _), adapter, place in asked
        }
        keys = sorted(rows, key=lambda key: (len(rows[key].prompt), key[0], key[1] or "", key[2]))
        for start in range(0, len(keys), ROWS):
            some = keys[start : start + ROWS]
            texts = generate(self._base, [rows[key] for key in some], max_output_tokens=MAX_OUTPUT_TOKENS)
            answers |= {key: answer.text for key, answer in zip(some, texts, strict=True)}
        return [
            sample_scores(
                self._task,
                answers[user, None if adapter is None else adapter.digest, place],
                self._crowd[user].pairs[place].output,
            )[self._task.primary_metric.name]
            for (user, _), adapter, place in asked
        ]


def table(measured: Mapping[str, Measured]) -> str:
    """A Markdown table, one row a task, and one of all tasks together."""
    lines = [
        f"| task | metric | users | {' | '.join(WAYS)} | p over never | p over always | promoted, kept, none |",
        "|---|---|---|" + "---|" * (len(WAYS) + 3),
    ]
    for task_key, one in measured.items():
        means = " | ".join(f"{one.mean(way):.3f}" for way in WAYS)
        outcomes = ", ".join(str(one.outcomes.get(candidate, 0)) for candidate in Candidate)
        lines.append(
            f"| {task_key} | {one.metric} | {len(one.by_user[NONE])} | {means} "
            f"| {one.p(PROMOTED, NEVER):.3f} | {one.p(PROMOTED, ALWAYS):.3f} | {outcomes} |"
        )
    gains = " | ".join(
        f"{_gain(measured, PROMOTED, way):+.4f} (p {_p(measured, PROMOTED, way):.3f})" for way in WAYS[:-1]
    )
    lines.append(
        f"\nPromoted over {', '.join(WAYS[:-1])}, all users of all tasks, errors with their sign turned: {gains}"
    )
    return "\n".join(lines)


def _differences(measured: Mapping[str, Measured], way: str, other: str) -> np.ndarray:
    return np.concatenate(
        [(1 if one.higher_is_better else -1) * (one.by_user[way] - one.by_user[other]) for one in measured.values()]
    )


def _gain(measured: Mapping[str, Measured], way: str, other: str) -> float:
    return float(_differences(measured, way, other).mean())


def _p(measured: Mapping[str, Measured], way: str, other: str) -> float:
    return sign_flip_p(_differences(measured, way, other))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m workers.small_models.retraining_measuring", description=__doc__)
    parser.add_argument("--users", type=int, default=40, help="of each task (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=SEED, help="default: %(default)s")
    parser.add_argument("--drift", type=float, default=0.8, help="default: %(default)s")
    parser.add_argument("--epochs", type=int, default=ADAPTERS.epochs, help="default: %(default)s")
    parser.add_argument("--tasks", default=",".join(TASKS), help="with a comma between two (default: %(default)s)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    base = load_base_model(str(SMALL_T5))
    measured = {
        task_key: measure(
            base,
            task_key,
            users=options.users,
            seed=options.seed,
            drift=options.drift,
            hyperparameters=replace(ADAPTERS, epochs=options.epochs),
        )
        for task_key in options.tasks.split(",")
    }
    sys.stdout.write(table(measured) + "\n")


if __name__ == "__main__":
    main()
