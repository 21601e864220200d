"""ROUGE-1 and ROUGE-L of many pairs: ours against `rouge_score`, as LaMP's tasks 4 to 7 need them.

Equal values, to the last bit, are asserted before the clock counts. Repeat with `python -m benchmarks rouge`.
"""

import random

from rouge_score.rouge_scorer import RougeScorer

from benchmarks.figures import Figure, side_by_side
from lamp.rouge import rouge

# Words of prediction and gold: headlines and titles, tweets, and outputs as long as generation lets them be.
LENGTHS = ((6, 14), (12, 28), (60, 100))
PAIRS_A_LENGTH = 100
ROUNDS = 7


def run() -> list[Figure]:
    pairs = _pairs()
    scorer = RougeScorer(["rouge1", "rougeL"], use_stemmer=False)

    def library() -> list[tuple[float, float]]:
        scores = [scorer.score(gold, prediction) for prediction, gold in pairs]
        return [(score["rouge1"].fmeasure, score["rougeL"].fmeasure) for score in scores]

    def ours() -> list[tuple[float, float]]:
        return [tuple(rouge(prediction, gold)) for prediction, gold in pairs]

    assert ours() == library(), "the values differ"
    timing = side_by_side(library, ours, rounds=ROUNDS, our_calls=5)
    return [
        Figure(
            name="rouge_vs_rouge_score",
            ratio=timing.ratio,
            median=timing.ours / len(pairs) * 1e6,
            unit="µs a pair",
            detail=f"{len(pairs)} pairs of 6 to 100 words, rouge_score: {timing.baseline / len(pairs) * 1e6:,.0f} µs, "
            "equal values",
        )
    ]


def _pairs() -> list[tuple[str, str]]:
    """Predictions that share some of their gold's words, in its order."""
    draw = random.Random(1)
    words = ["".join(draw.choices("etaoinshrdlu", k=draw.randint(2, 8))) for _ in range(2000)]
    pairs = []
    for lengths in LENGTHS:
        for _ in range(PAIRS_A_LENGTH):
            gold = draw.choices(words, k=draw.randint(*lengths))
            prediction = [word if draw.random() < 0.5 else draw.choice(words) for word in gold]
            pairs.append((" ".join(prediction).capitalize() + ".", " ".join(gold).capitalize() + " 😀"))
    return pairs
