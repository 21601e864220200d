"""Small random selectors and what they read, for the engine's tests."""

import random

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    LongformerConfig,
    LongformerForSequenceClassification,
    PreTrainedTokenizerFast,
)

from lamp.selector_texts import SelectorText
from tests.workers.engine.models import WORDS, sentence
from workers.engine.selector import Selector, wrap_selector

PAD, UNKNOWN, FIRST, SEPARATOR = range(4)


def pair_tokenizer() -> PreTrainedTokenizerFast:
    """One token a word; a first token, and a separator after each of one or two segments. Case counts."""
    vocabulary = {word: place for place, word in enumerate(["<pad>", "<unk>", "[CLS]", "[SEP]", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", FIRST), ("[SEP]", SEPARATOR)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", cls_token="[CLS]", sep_token="[SEP]"
    )


def bert_config(**changed) -> BertConfig:
    settings = {
        "vocab_size": len(WORDS) + 4,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "max_position_embeddings": 64,
        "num_labels": 1,
    }
    return BertConfig(**{**settings, **changed})


def small_selector(*, seed: int = 0, **changed) -> Selector:
    """With dropout in training, as encoders of the field have it."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = BertForSequenceClassification(bert_config(**changed))
    return wrap_selector(model, pair_tokenizer(), name="small-random-selector")


def small_longformer(*, seed: int = 0) -> Selector:
    """The family of the paper's selector; positions begin after the padding's, as RoBERTa has them."""
    config = LongformerConfig(
        vocab_size=len(WORDS) + 4,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=65,
        attention_window=8,
        type_vocab_size=1,
        pad_token_id=PAD,
        bos_token_id=FIRST,
        eos_token_id=SEPARATOR,
        sep_token_id=SEPARATOR,
        num_labels=1,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LongformerForSequenceClassification(config)
    return wrap_selector(model, pair_tokenizer(), name="small-random-longformer")


def read(seed: int, *, count: int, post: bool = False) -> list[SelectorText]:
    """Candidates' texts, always the same for a seed."""
    source = random.Random(seed)
    return [SelectorText(sentence(source), sentence(source, longest=4) if post else None) for _ in range(count)]
