"""What the serving benchmarks run on: two base models, users' adapters, and the same in peft."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, T5ForConditionalGeneration

from benchmarks.random_models import random_t5
from lamp.catalogue import get_task
from lamp.pairs import pair_of
from lamp.synthetic.population import people
from training_app.costs.shapes import PUBLISHED
from workers.engine.adapters import AdapterWeights, adapter_weights
from workers.engine.base_model import BaseModel, load_base_model, wrap
from workers.engine.generation import GenerationRow
from workers.engine.hyperparameters import Hyperparameters
from workers.engine.training import train_adapter
from workers.small_models import SMALL_T5

TASK = "LaMP-7"
# Enough training that every adapter changes its user's answer.
LITTLE = Hyperparameters(rank=8, alpha=16, epochs=3, learning_rate=3e-3)
# Answers are about 30 tokens long; one that runs on is cut here, sooner than LaMP's limit, to keep the baselines quick.
SMALL_OUTPUT_TOKENS = 48
# The larger model's shape, and its prompts' lengths in tokens.
RANDOM_INPUT_TOKENS = (25, 45)
RANDOM_OUTPUT_TOKENS = 8


@dataclass(frozen=True)
class Workload:
    """A base model, and each user's prompt and adapter."""

    name: str
    base: BaseModel
    rows: Sequence[GenerationRow]
    max_output_tokens: int
    peft: Any
    """The same base model in peft, with the adapter of user n by the name "n"."""


def small_workload(users: int) -> Workload:
    """The repository's model; one tweet to paraphrase a user, and an adapter trained on the user's own tweets."""
    base = load_base_model(str(SMALL_T5))
    task = get_task(TASK)
    rows = []
    for person in people(TASK, users=range(1, users + 1), seed=5, strength=0.9, drift=0.0):
        pairs = [pair_of(task, document.fields) for document in person.documents]
        trained = train_adapter(base, pairs=pairs, hyperparameters=LITTLE, seed=person.user_id)
        rows.append(GenerationRow(person.questions[0].input, trained.as_weights()))
    theirs = T5ForConditionalGeneration.from_pretrained(SMALL_T5).eval()
    return Workload("small", base, rows, SMALL_OUTPUT_TOKENS, _in_peft(theirs, rows))


def flan_t5_small_workload(users: int) -> Workload:
    """Random weights in flan-t5-small's shape, random adapters that change every answer, and made-up prompts."""
    shape = PUBLISHED["google/flan-t5-small"]
    base = wrap(random_t5(shape), word_tokenizer(shape.vocab_size), name="random", revision="0")
    draw = random.Random(0)
    rows = [
        GenerationRow(
            " ".join(f"w{draw.randrange(shape.vocab_size - 3)}" for _ in range(draw.randint(*RANDOM_INPUT_TOKENS))),
            _random_adapter(base, user),
        )
        for user in range(users)
    ]
    return Workload("512", base, rows, RANDOM_OUTPUT_TOKENS, _in_peft(random_t5(shape), rows))


def _random_adapter(base: BaseModel, seed: int) -> AdapterWeights:
    source = torch.Generator().manual_seed(seed)
    tensors = {
        name: torch.randn(shape, generator=source) * 0.05
        for name, shape in base.projections.shapes(LITTLE.rank).items()
    }
    return adapter_weights(tensors, rank=LITTLE.rank, alpha=LITTLE.alpha)


def word_tokenizer(vocabulary: int) -> PreTrainedTokenizerFast:
    """One token a word "w0", "w1" …, and an end token after a text."""
    words = {word: place for place, word in enumerate(["<pad>", "</s>", "<unk>"])}
    words |= {f"w{number}": number + 3 for number in range(vocabulary - 3)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")


def _in_peft(model: Any, rows: Sequence[GenerationRow]) -> Any:
    config = LoraConfig(
        r=LITTLE.rank,
        lora_alpha=LITTLE.alpha,
        lora_dropout=LITTLE.dropout,
        target_modules=["q", "k", "v"],
        task_type="SEQ_2_SEQ_LM",
        inference_mode=True,
    )
    wrapped = get_peft_model(model, config, adapter_name="0")
    for user, row in enumerate(rows):
        if user:
            wrapped.add_adapter(str(user), config)
        assert row.adapter is not None
        loaded = set_peft_model_state_dict(wrapped, dict(row.adapter.tensors), adapter_name=str(user))
        assert not loaded.unexpected_keys
    return wrapped.eval()
