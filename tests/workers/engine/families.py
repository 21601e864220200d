"""Random models in small of every architecture that is published under the name of T5."""

import copy

import torch
from transformers import MT5Config, MT5ForConditionalGeneration, T5Config, T5ForConditionalGeneration

from tests.workers.engine.models import WORDS

_SIZES = {
    "vocab_size": len(WORDS) + 3,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 48,
    "num_layers": 2,
    "num_heads": 4,
    "decoder_start_token_id": 0,
    "dropout_rate": 0.1,
}
# What config.json of the published models says beyond sizes (t5-*, t5-v1_1-*, flan-t5-*, mt5-*).
_CONFIGS = {
    # The first T5: a plain ReLU layer, and an output layer that is the embedding, scaled.
    "t5": T5Config(**_SIZES, feed_forward_proj="relu", tie_word_embeddings=True),
    "t5-v1_1": T5Config(**_SIZES, feed_forward_proj="gated-gelu", tie_word_embeddings=False),
    # More decoder than encoder layers, heads that do not add up to the width.
    "flan-t5": T5Config(
        **{**_SIZES, "num_heads": 6, "num_layers": 1}, num_decoder_layers=3,
        feed_forward_proj="gated-gelu", tie_word_embeddings=False,
    ),
    "mt5": MT5Config(**_SIZES, feed_forward_proj="gated-gelu", tie_word_embeddings=False),
}  # fmt: skip
FAMILIES = tuple(_CONFIGS)


def family_model(
    family: str, *, dtype: torch.dtype = torch.float32, layers: int | None = None
) -> T5ForConditionalGeneration:
    """The same weights at every call; with as many layers in encoder and decoder, if told."""
    config = copy.deepcopy(_CONFIGS[family])
    if layers is not None:
        config.num_layers = config.num_decoder_layers = layers
    of_config = MT5ForConditionalGeneration if family == "mt5" else T5ForConditionalGeneration
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = of_config(config)
        if family != "t5":
            # transformers ties every new model; published ones but the first T5 have an output layer of their own.
            model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm_head.weight))
    return model.to(dtype).eval()
