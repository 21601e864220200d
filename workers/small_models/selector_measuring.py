"""What the small selectors get of what a choice among the pool could get, on dev questions of a synthetic benchmark:
`python -m workers.small_models.selector_measuring [--users N] [--seed S] [--strength X] [--drift D] [--manners M]`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import logging

from eval_app.significance import sign_flip_p
from lamp.catalogue import get_task
from lamp.metrics import sample_scores
from retrieval_app.selection import POST, PRE
from workers.engine.base_model import load_base_model
from workers.engine.encoder import load_encoder
from workers.engine.selector import Selector, load_selector, score
from workers.small_models import SMALL_ENCODER, SMALL_SELECTOR_POST, SMALL_SELECTOR_PRE, SMALL_T5
from workers.small_models.recipe import Setting
from workers.small_models.samples import TASKS
from workers.small_models.selector_feedback import MEMBERS, POOL, PoolAnswers, benchmark_answers

# Its users were looked at by nobody who chose the recipe's numbers.
MEASURED_SEED = 2027
MEASURED = Setting(strength=1.0, drift=0.5, manners=1.0)
DRIFT_ALONE = Setting(strength=1.0, drift=0.5)
NO_TRAITS = Setting(strength=0.0, drift=0.5, manners=1.0)
"""Profiles say nothing about an answer, so that the retrievers are of equal worth."""
ROWS = 32


@dataclass(frozen=True)
class Chosen:
    """What a selector reached in one task: the metric, the share of the gap between the best single retriever and its
    pool's oracle (None where there is no gap), and the p-value of its difference from that retriever, paired by user.
    """

    score: float
    share: float | None
    p: float


@dataclass(frozen=True)
class Measured:
    """One task: how many questions, its metric, the score of each retriever alone, of the pool's oracle (each
    question's best output of the pool), of the oracle of all `MEMBERS`, and the selectors'.
    """

    questions: int
    metric: str
    members: Mapping[str, float]
    best: str
    oracle: float
    oracle_of_all: float
    chosen: Mapping[str, Chosen]


def measure_selectors(
    selectors: Mapping[str, Selector], answers: Mapping[str, Sequence[PoolAnswers]]
) -> dict[str, Measured]:
    """By task: `selectors` ("pre" and "post") of the `POOL` against each of `MEMBERS` and the oracle."""
    return {task_key: _measure_task(selectors, task_key, rows) for task_key, rows in answers.items()}


def _measure_task(selectors: Mapping[str, Selector], task_key: str, rows: Sequence[PoolAnswers]) -> Measured:
    task = get_task(task_key)
    metric = task.primary_metric
    sign = 1.0 if metric.higher_is_better else -1.0
    scores = sign * np.array(
        [[sample_scores(task, output, row.gold)[metric.name] for output in row.outputs] for row in rows]
    )
    best = int(scores.mean(axis=0).argmax())
    of_pool = scores[:, [MEMBERS.index(member) for member in POOL]]
    single, oracle = scores[:, best], of_pool.max(axis=1)
    gap = float(oracle.mean() - single.mean())
    users = np.array([row.user_id for row in rows])
    chosen = {}
    for reads, selector in selectors.items():
        reached = of_pool[np.arange(len(rows)), choices(selector, rows, reads=reads)]
        gained = reached - single
        chosen[reads] = Chosen(
            score=sign * float(reached.mean()),
            share=float(gained.mean()) / gap if gap > 0 else None,
            p=sign_flip_p([float(gained[users == user].mean()) for user in np.unique(users)]),
        )
    return Measured(
        questions=len(rows),
        metric=metric.name,
        members={member: sign * float(mean) for member, mean in zip(MEMBERS, scores.mean(axis=0), strict=True)},
        best=MEMBERS[best],
        oracle=sign * float(oracle.mean()),
        oracle_of_all=sign * float(scores.max(axis=1).mean()),
        chosen=chosen,
    )


def choices(selector: Selector, rows: Sequence[PoolAnswers], *, reads: str) -> np.ndarray[Any, Any]:
    """The place in the pool that the selector chooses for each question; of equal scores the first."""
    texts = [text for row in rows for text in row.texts(reads=reads)]
    found: np.ndarray[Any, Any] = score(selector, texts, exact=False, batch_size=ROWS).reshape(len(rows), -1)
    return found.argmax(axis=1)


def mean_share(measured: Mapping[str, Measured], reads: str) -> float:
    """The mean share of the gap over the tasks that have one."""
    shares = [one.chosen[reads].share for one in measured.values()]
    known = [share for share in shares if share is not None]
    return sum(known) / len(known) if known else 0.0


def table(measured: Mapping[str, Measured]) -> str:
    """A Markdown table, one row a task, and one of the mean shares."""
    lines = [
        f"| task | metric | {' | '.join(MEMBERS)} | RSPG-Pre | share | p | RSPG-Post | share | p | oracle | of four |",
        "|---|---|" + "---|" * (len(MEMBERS) + 8),
    ]
    for task_key, one in measured.items():
        members = " | ".join(
            f"**{value:.3f}**" if member == one.best else f"{value:.3f}" for member, value in one.members.items()
        )
        chosen = " | ".join(
            f"{found.score:.3f} | {'—' if found.share is None else f'{found.share:+.2f}'} | {found.p:.3f}"
            for found in (one.chosen[PRE], one.chosen[POST])
        )
        oracles = f"{one.oracle:.3f} | {one.oracle_of_all:.3f}"
        lines.append(f"| {task_key} | {one.metric} | {members} | {chosen} | {oracles} |")
    means = " | ".join(f" | {mean_share(measured, reads):+.2f} | " for reads in (PRE, POST))
    lines.append(f"| mean | |{' |' * len(MEMBERS)} {means} | | |")
    return "\n".join(lines)


def answered(
    *, users: int, seed: int, setting: Setting, t5: Path = SMALL_T5, encoder: Path = SMALL_ENCODER
) -> dict[str, list[PoolAnswers]]:
    """All members' answers to a benchmark's dev questions, by task."""
    base, dense = load_base_model(str(t5)), load_encoder(str(encoder))
    return {key: benchmark_answers(base, dense, key, users=users, seed=seed, setting=setting) for key in TASKS}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m workers.small_models.selector_measuring", description=__doc__)
    parser.add_argument("--users", type=int, default=200, help="of each task (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=MEASURED_SEED, help="default: %(default)s")
    parser.add_argument("--strength", type=float, default=MEASURED.strength, help="default: %(default)s")
    parser.add_argument("--drift", type=float, default=MEASURED.drift, help="default: %(default)s")
    parser.add_argument("--manners", type=float, default=MEASURED.manners, help="default: %(default)s")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    selectors = {PRE: load_selector(SMALL_SELECTOR_PRE), POST: load_selector(SMALL_SELECTOR_POST)}
    setting = Setting(strength=options.strength, drift=options.drift, manners=options.manners)
    answers = answered(users=options.users, seed=options.seed, setting=setting)
    sys.stdout.write(table(measure_selectors(selectors, answers)) + "\n")


if __name__ == "__main__":
    main()
