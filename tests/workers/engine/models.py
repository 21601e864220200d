"""Small random models and people with documents for the engine's tests."""

import random

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

from workers.engine.base_model import BaseModel, wrap
from workers.engine.encoder import Encoder, wrap_encoder
from workers.engine.threads import limit_threads

limit_threads(1)

WORDS = [f"w{number}" for number in range(60)]


def words_tokenizer() -> PreTrainedTokenizerFast:
    """One token a word, and an end token after a text."""
    vocabulary = {word: place for place, word in enumerate(["<pad>", "</s>", "<unk>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")


def small_t5(*, seed: int = 0, dtype: torch.dtype = torch.float32) -> T5ForConditionalGeneration:
    """Flan-T5's architecture in small, with weights large enough that answers differ."""
    config = T5Config(
        vocab_size=len(WORDS) + 3,
        d_model=32,
        d_kv=8,
        d_ff=48,
        num_layers=2,
        num_decoder_layers=2,
        num_heads=4,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
        decoder_start_token_id=0,
        dropout_rate=0.1,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = T5ForConditionalGeneration(config)
    return model.to(dtype).eval()


def small_base(*, seed: int = 0, dtype: torch.dtype = torch.float32) -> BaseModel:
    return wrap(small_t5(seed=seed, dtype=dtype), words_tokenizer(), name="small-random", revision=f"seed-{seed}")


def small_encoder(*, seed: int = 0) -> Encoder:
    config = BertConfig(
        vocab_size=len(WORDS) + 3,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=64,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = BertModel(config)
    return wrap_encoder(model, words_tokenizer(), name="small-random-encoder", revision=f"seed-{seed}")


def sentence(source: random.Random, *, shortest: int = 1, longest: int = 12) -> str:
    return " ".join(source.choice(WORDS) for _ in range(source.randint(shortest, longest)))


def pairs_of(person: str, *, count: int) -> list[tuple[str, str]]:
    """A person's training pairs: always the same, and unlike anybody else's."""
    source = random.Random(person)
    return [(sentence(source), sentence(source, longest=6)) for _ in range(count)]


def prompts(seed: int, *, count: int) -> list[str]:
    source = random.Random(seed)
    return [sentence(source) for _ in range(count)]
