"""The small selectors before training: an encoder of BERT's family that already sees which words occur twice.

What makes a prompt worth choosing is mostly repetition: its entries are shaped alike or not, they are about the
question's subject or not, the output is shaped as they are or not. Finding equal words is what a small model learns
last, so attention starts near it: in half of the heads queries and keys have equal weights, so that a word attends to
itself wherever it stands. Places begin as sinusoids, so that neighbours are alike.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from tokenizers import normalizers
from torch import Tensor
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

WIDTH = 128
HEADS = 4
HEAD_WIDTH = WIDTH // HEADS
LAYERS = 3  # equal words, equal pairs of words, and how many of both
MAX_TOKENS = 512
SAME_WORD_HEADS = 2  # of each layer
SAME_WORD = 1.3  # a word's score with itself is then many times that with another
PLACES = 0.2
SEGMENTS = 0.5
VALUES = 0.06
HEAD = 0.01  # so that an untrained selector scores all candidates about alike


def selector_tokenizer(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """The encoder's tokenizer, lower-casing: a selector reads the prompt in lower case (LaMP reference §3) and the
    output as it was generated, and an equal word must be equal in both.
    """
    lowered = copy.deepcopy(tokenizer)
    backend = lowered.backend_tokenizer
    backend.normalizer = normalizers.Sequence([normalizers.Lowercase(), backend.normalizer])
    return lowered


def untrained_selector_model(tokenizer: PreTrainedTokenizerFast, *, seed: int) -> BertForSequenceClassification:
    """A BERT with three layers of width 128 and a one-unit head; equal seeds give equal weights."""
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=3 * WIDTH,
        max_position_embeddings=MAX_TOKENS,
        type_vocab_size=2,
        pad_token_id=tokenizer.pad_token_id,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    config.num_labels = 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BertForSequenceClassification(config)
        _prepare(model)
    return model


@torch.no_grad()
def _prepare(model: Any) -> None:
    embeddings = model.bert.embeddings
    embeddings.word_embeddings.weight.normal_(0, 1)
    embeddings.position_embeddings.weight.copy_(PLACES * _sinusoids())
    embeddings.token_type_embeddings.weight.normal_(0, SEGMENTS)
    for layer in model.bert.encoder.layer:
        attention = layer.attention
        for head in range(SAME_WORD_HEADS):
            rows = slice(head * HEAD_WIDTH, (head + 1) * HEAD_WIDTH)
            alike = SAME_WORD * torch.linalg.qr(torch.randn(WIDTH, HEAD_WIDTH)).Q.T
            attention.self.query.weight[rows] = alike
            attention.self.key.weight[rows] = alike
        attention.self.value.weight.normal_(0, VALUES)
        attention.output.dense.weight.normal_(0, VALUES)
    model.bert.pooler.dense.weight.normal_(0, VALUES)
    model.classifier.weight.normal_(0, HEAD)


def _sinusoids() -> Tensor:
    """[places, width]."""
    frequencies = torch.exp(-math.log(10_000) * torch.arange(WIDTH // 2) / (WIDTH // 2))
    angles = torch.arange(MAX_TOKENS)[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)
