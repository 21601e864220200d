"""What choosing the retriever (RSPG) adds to an answer's time, beside generation itself: k = 4, a pool of four.

The baseline answers with one fixed retriever (BM25): it retrieves, builds the prompt and generates by 4 beams. `pre`
builds the prompt of every member of the pool, has the selector score them, and generates from one. `post` generates
from all of them in one batch, and has the selector score prompts and outputs. Prompts that are the same are generated
from, and read, once. Candidates are scored one a pass, as workers do on a CPU. `c1` is one client at a time, `b32` 32
questions together. Indexes, documents' vectors and models are in memory on all sides; no database is asked.

`small` are the models of the repository on questions of all seven synthetic tasks; `larger` has random weights in the
shapes of flan-t5-base and longformer-base (the source's selector), where no answer ends before its limit. Before the
clock counts it is asserted that what is chosen is, to the letter, what that member of the pool answers by itself. A
ratio below 1 is what choosing costs. Repeat with `python -m benchmarks selection`.
"""

from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from time import perf_counter

from benchmarks.figures import Figure, compared, in_turn
from benchmarks.selection_models import Posed, Workload, larger_workload, small_workload
from retrieval_app.selection import choose, selector_text
from workers.engine.generation import GenerationRow, Generator
from workers.engine.selector import score
from workers.engine.threads import limit_threads

QUESTIONS = 32
ROUNDS = 5
LARGER_QUESTIONS = 1
LARGER_ROUNDS = 3
BEAMS = 4
WAYS = ("pre", "post")


def run() -> list[Figure]:
    limit_threads(1)
    small, figures = small_workload(QUESTIONS), []
    for mode, at_once in (("c1", 1), ("b32", QUESTIONS)):
        figures += _compared(small, mode, rounds=ROUNDS, at_once=at_once)
    return figures + _compared(larger_workload(LARGER_QUESTIONS), "c1", rounds=LARGER_ROUNDS, at_once=1)


class Answering:
    """The three ways of answering the same questions."""

    def __init__(self, load: Workload) -> None:
        self._load = load
        self._generator = Generator(load.base)

    def fixed(self, posed: Sequence[Posed]) -> list[str]:
        """With the one retriever."""
        prompts = [one.fixed() for one in posed]
        outputs = self.outputs(prompts)
        return [outputs[prompt] for prompt in prompts]

    def pre(self, posed: Sequence[Posed]) -> list[tuple[int, str]]:
        """Choose by the prompts, then generate: the place of the member that was chosen, and the answer."""
        chosen = []
        for one in posed:
            candidates = one.candidates()
            place = choose(self.scores("pre", candidates, [None] * len(candidates)))
            chosen.append((place, candidates[place]))
        outputs = self.outputs([prompt for _, prompt in chosen])
        return [(place, outputs[prompt]) for place, prompt in chosen]

    def post(self, posed: Sequence[Posed]) -> list[tuple[int, str]]:
        """Generate from every prompt, then choose."""
        asked = [one.candidates() for one in posed]
        outputs = self.outputs([prompt for candidates in asked for prompt in candidates])
        answers = []
        for candidates in asked:
            told = [outputs[prompt] for prompt in candidates]
            place = choose(self.scores("post", candidates, told))
            answers.append((place, told[place]))
        return answers

    def outputs(self, prompts: Sequence[str]) -> dict[str, str]:
        """What is generated from each prompt, in as few passes as the engine makes of them."""
        different = list(dict.fromkeys(prompts))
        rows = [GenerationRow(prompt) for prompt in different]
        texts = self._generator.generate(rows, num_beams=BEAMS, max_output_tokens=self._load.max_output_tokens)
        return dict(zip(different, (one.text for one in texts), strict=True))

    def scores(self, reads: str, prompts: Sequence[str], outputs: Sequence[str | None]) -> list[float]:
        """The selector's score of each candidate."""
        pairs = zip(prompts, outputs, strict=True)
        texts = [selector_text(reads=reads, prompt=prompt, output=output) for prompt, output in pairs]
        different = list(dict.fromkeys(texts))
        scored = dict(zip(different, score(self._load.selectors[reads], different).tolist(), strict=True))
        return [scored[text] for text in texts]


def _compared(load: Workload, mode: str, *, rounds: int, at_once: int) -> list[Figure]:
    answering, count = Answering(load), len(load.posed)
    blocks = [load.posed[start : start + at_once] for start in range(0, count, at_once)]
    _require_equal(answering, load.posed, blocks)

    def all_of(way: Callable[[Sequence[Posed]], object]) -> None:
        for block in blocks:
            way(block)

    ways = {"fixed": answering.fixed, "pre": answering.pre, "post": answering.post}
    seconds = in_turn({name: partial(all_of, way) for name, way in ways.items()}, rounds=rounds)
    each = {name: 1000 * median(found) / count for name, found in seconds.items()}
    parts = _choosing_alone(answering, load.posed)
    suffix = "" if load.name == "small" else f"_{load.name}"
    return [
        Figure(
            name=f"select_{way}_{mode}_vs_fixed{suffix}",
            ratio=compared(seconds["fixed"], seconds[way]).ratio,
            median=each[way],
            unit="ms an answer",
            detail=f"{load.name}, {_asked(mode)}: one fixed retriever {each['fixed']:,.1f} ms, so choosing adds "
            f"{each[way] - each['fixed']:,.1f} ms; the pool's prompts alone are {parts['prompts']:,.1f} ms, scoring "
            f"{parts[way]:,.1f}; questions: {count}, equal answers",
        )
        for way in WAYS
    ]


def _choosing_alone(answering: Answering, posed: Sequence[Posed]) -> dict[str, float]:
    """Milliseconds a question, measured once, of what choosing does besides generating: the prompts and the scores."""
    begun = perf_counter()
    candidates = [one.candidates() for one in posed]
    taken = {"prompts": perf_counter() - begun}
    generated = answering.outputs([prompt for prompts in candidates for prompt in prompts])
    told = [[generated[prompt] for prompt in prompts] for prompts in candidates]
    for way in WAYS:
        begun = perf_counter()
        for prompts, outputs in zip(candidates, told, strict=True):
            answering.scores(way, prompts, outputs)
        taken[way] = perf_counter() - begun
    return {name: 1000 * seconds / len(posed) for name, seconds in taken.items()}


def _asked(mode: str) -> str:
    return "one client at a time" if mode == "c1" else "32 questions together"


def _require_equal(answering: Answering, posed: Sequence[Posed], blocks: Sequence[Sequence[Posed]]) -> None:
    """Whatever is chosen is answered as that member of the pool answers by itself."""
    alone = [[answering.outputs([prompt])[prompt] for prompt in one.candidates()] for one in posed]
    for way in (answering.pre, answering.post):
        answers = [answer for block in blocks for answer in way(block)]
        assert [said for _, said in answers] == [own[place] for own, (place, _) in zip(alone, answers, strict=True)]
    fixed = [said for block in blocks for said in answering.fixed(block)]
    assert fixed == [own[one.fixed_place] for own, one in zip(alone, posed, strict=True)], "the answers differ"
