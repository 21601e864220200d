"""What the selection benchmark runs on: questions with the candidates of a pool of four, and the models that answer and
choose.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

import torch
from transformers import AutoModelForSequenceClassification, LongformerConfig

from benchmarks.random_models import random_t5
from benchmarks.serving_models import word_tokenizer
from lamp.catalogue import get_task
from lamp.queries import document_text, query_of
from lamp.synthetic.population import RECIPES, people
from lamp.tasks import Task
from retrieval_app.bm25 import BM25Index
from retrieval_app.dense import dense_order
from retrieval_app.prompts import build_prompt
from retrieval_app.ranking import order_by_score
from retrieval_app.recency import recency_order
from training_app.costs.shapes import PUBLISHED
from workers.engine.base_model import BaseModel, load_base_model, wrap
from workers.engine.encoder import encode, load_encoder
from workers.engine.selector import Selector, load_selector, wrap_selector
from workers.small_models import SMALL_ENCODER, SMALL_SELECTOR_POST, SMALL_SELECTOR_PRE, SMALL_T5

K = 4
"""Documents in a prompt, as in every experiment of the paper."""

LARGER = "google/flan-t5-base"
LARGER_PROMPT_TOKENS = 400
LARGER_OUTPUT_TOKENS = 16
# allenai/longformer-base-4096, the source's encoder.
LONGFORMER_BASE = LongformerConfig(
    vocab_size=50265,
    max_position_embeddings=4098,
    attention_window=[512] * 12,
    type_vocab_size=1,
    pad_token_id=0,
    num_labels=1,
)


@dataclass(frozen=True)
class Posed:
    """A question; making its prompts includes retrieving."""

    candidates: Callable[[], list[str]]
    """The prompt of every member of the pool, in its order."""
    fixed: Callable[[], str]
    """The prompt of the member that is compared with."""
    fixed_place: int
    """Where that member stands in the pool."""


@dataclass(frozen=True)
class Workload:
    """Models and questions; `selectors` by what they read, "pre" and "post"."""

    name: str
    base: BaseModel
    selectors: dict[str, Selector]
    posed: Sequence[Posed]
    max_output_tokens: int


def small_workload(questions: int) -> Workload:
    """The repository's models on `small_questions`."""
    base = load_base_model(str(SMALL_T5))
    selectors = {"pre": load_selector(SMALL_SELECTOR_PRE), "post": load_selector(SMALL_SELECTOR_POST)}
    return Workload("small", base, selectors, small_questions(base, questions), 128)


def small_questions(base: BaseModel, questions: int) -> list[Posed]:
    """Questions of all seven tasks in turn, each of another user, with no documents, BM25, recency and Contriever.

    Indexes and documents' vectors are there before, as they are when serving.
    """
    encoder = load_encoder(str(SMALL_ENCODER))
    posed = []
    for at in range(questions):
        task = get_task(list(RECIPES)[at % len(RECIPES)])
        [person] = people(task.key, users=[at + 1], seed=5, strength=0.9, drift=0.2)
        asked = next(one for one in person.questions if one.split == "dev")
        written = person.documents[: asked.profile_size]
        fields = [{**one.fields, "date": one.day.isoformat()} for one in written]
        posed.append(_posed(task, asked.input, fields=fields, base=base, embed=partial(encode, encoder)))
    return posed


def larger_workload(questions: int) -> Workload:
    """Random weights in the shapes of flan-t5-base and longformer-base, and made-up prompts; retrieval takes no time.

    No answer ends before the limit, so all are equally long.
    """
    shape = PUBLISHED[LARGER]
    base = wrap(random_t5(shape), word_tokenizer(shape.vocab_size), name="random", revision="0")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForSequenceClassification.from_config(LONGFORMER_BASE)
    selector = wrap_selector(model, word_tokenizer(LONGFORMER_BASE.vocab_size), name="random")
    draw = Random(0)

    def prompt(tokens: int) -> str:
        return " ".join(f"w{draw.randrange(shape.vocab_size - 3)}" for _ in range(tokens - 1))

    posed = []
    for _ in range(questions):
        # Without documents the prompt is the input alone.
        prompts = [prompt(LARGER_PROMPT_TOKENS // 8), *(prompt(LARGER_PROMPT_TOKENS) for _ in range(3))]
        posed.append(Posed(candidates=partial(list, prompts), fixed=partial(str, prompts[1]), fixed_place=1))
    return Workload("larger", base, {"pre": selector, "post": selector}, posed, LARGER_OUTPUT_TOKENS)


def _posed(
    task: Task,
    asked: str,
    *,
    fields: Sequence[dict[str, str]],
    base: BaseModel,
    embed: Callable[[Sequence[str]], object],
) -> Posed:
    texts = [document_text(task, one) for one in fields]
    index, vectors, dates = BM25Index(texts), embed(texts), [one["date"] for one in fields]
    query = query_of(task, asked)

    def prompt(order: Sequence[int]) -> str:
        return build_prompt(task, asked, [fields[place] for place in order[:K]], tokenizer=base.tokenizer)

    def bm25() -> str:
        return prompt(order_by_score(index.scores(query)))

    def candidates() -> list[str]:
        return [asked, bm25(), prompt(recency_order(dates)), prompt(dense_order(embed([query])[0], vectors))]

    return Posed(candidates=candidates, fixed=bm25, fixed_place=1)
