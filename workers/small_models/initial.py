"""The small T5 before training: an architecture of T5's family and initial weights that can already copy.

Copying words from the prompt is what personalization needs, and what a small model finds last. So attention starts
near it: some heads look at the word before or after (by the relative position bias), the others at the same word (equal
query and key weights). In the encoder these look at the same word elsewhere alone (by the bias again), so that what
occurs twice stands out. Output weights are the transposed value weights, so what a head reads arrives where the
vocabulary reads it. In the decoder that makes "find the word just written in the prompt and write what follows it
there".
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

WIDTH = 128
HEADS = 4
HEAD_WIDTH = 32
BEFORE, AFTER = 0, 1  # the heads that look at neighbours
NEIGHBOUR_BIAS = 6.0
ITSELF_BIAS = -8.0
SAME_WORD = (
    0.05  # standard deviation of query and key weights; a word's score with itself is then about 10, with another 0 ± 2
)

# T5's buckets of relative positions, 16 a direction: the place itself, one place before, one place after.
BUCKET_ITSELF, BUCKET_BEFORE, BUCKET_AFTER = 0, 1, 17


def t5_config(tokenizer: PreTrainedTokenizerFast) -> T5Config:
    """A gated-GELU T5 with 3 + 3 layers of width 128: about 1.5 million parameters."""
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=WIDTH,
        d_kv=HEAD_WIDTH,
        num_heads=HEADS,
        d_ff=320,
        num_layers=3,
        num_decoder_layers=3,
        feed_forward_proj="gated-gelu",
        dropout_rate=0.0,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    config.decoder_start_token_id = tokenizer.pad_token_id
    return config


def initial_t5(tokenizer: PreTrainedTokenizerFast, *, seed: int) -> T5ForConditionalGeneration:
    """The untrained model; equal seeds give equal weights."""
    torch.manual_seed(seed)
    model = T5ForConditionalGeneration(t5_config(tokenizer))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        next_word = _prepare_encoder(model, generator)
        _prepare_decoder(model, generator, next_word=next_word)
    return model


def _blocks(stack: Any) -> list[Any]:
    return list(stack.block)


def _prepare_encoder(model: T5ForConditionalGeneration, generator: torch.Generator) -> Tensor:
    """Neighbour heads and same-word heads; returns the value weights by which the next word is read."""
    attentions = [block.layer[0].SelfAttention for block in _blocks(model.encoder)]
    bias = attentions[0].relative_attention_bias.weight
    bias.normal_(0.0, 0.1, generator=generator)
    bias[BUCKET_BEFORE, BEFORE] = bias[BUCKET_AFTER, AFTER] = NEIGHBOUR_BIAS
    bias[BUCKET_ITSELF, AFTER + 1 :] = ITSELF_BIAS
    values = []
    for depth, attention in enumerate(attentions):
        for head in range(HEADS):
            same_word = head not in (BEFORE, AFTER)
            values.append(
                _prepare_head(attention, head, generator, same_word=same_word, strength=0.5 if depth == 0 else 0.2)
            )
    return values[AFTER]


def _prepare_decoder(model: T5ForConditionalGeneration, generator: torch.Generator, *, next_word: Tensor) -> None:
    for depth, block in enumerate(_blocks(model.decoder)):
        attention, cross = block.layer[0].SelfAttention, block.layer[1].EncDecAttention
        if depth == 0:
            bias = attention.relative_attention_bias.weight
            bias.normal_(0.0, 0.1, generator=generator)
            bias[BUCKET_BEFORE, BEFORE] = NEIGHBOUR_BIAS
        for head in range(HEADS):
            _prepare_head(attention, head, generator, same_word=head != BEFORE, strength=0.2)
            value = next_word if head >= HEADS // 2 else None
            _prepare_head(cross, head, generator, same_word=True, strength=0.5, value=value)


def _prepare_head(
    attention: Any,
    head: int,
    generator: torch.Generator,
    *,
    same_word: bool,
    strength: float,
    value: Tensor | None = None,
) -> Tensor:
    """Set one head's weights; returns its value weights (head width × width, orthonormal rows)."""
    rows = slice(head * HEAD_WIDTH, (head + 1) * HEAD_WIDTH)
    query = torch.randn(HEAD_WIDTH, WIDTH, generator=generator) * (SAME_WORD if same_word else 0.01)
    attention.q.weight[rows] = query
    attention.k.weight[rows] = query
    if value is None:
        value = torch.linalg.qr(torch.randn(WIDTH, HEAD_WIDTH, generator=generator)).Q.T
    attention.v.weight[rows] = value
    attention.o.weight[:, rows] = strength * value.T
    return value
