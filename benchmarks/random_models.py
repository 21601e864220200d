"""T5s of any shape with random weights: what a model costs depends on its shape, not on what it has learned."""

import torch
from transformers import T5Config, T5ForConditionalGeneration

from training_app.costs.shapes import ModelShape

MIDDLE = ModelShape(
    d_model=256,
    d_kv=64,
    d_ff=640,
    num_heads=4,
    num_layers=4,
    num_decoder_layers=4,
    vocab_size=8192,
    gated=True,
    tied=False,
)


def config_of(shape: ModelShape) -> T5Config:
    """That shape without any dropout of its own."""
    return T5Config(
        d_model=shape.d_model,
        d_kv=shape.d_kv,
        d_ff=shape.d_ff,
        num_heads=shape.num_heads,
        num_layers=shape.num_layers,
        num_decoder_layers=shape.num_decoder_layers,
        vocab_size=shape.vocab_size,
        feed_forward_proj="gated-gelu" if shape.gated else "relu",
        tie_word_embeddings=shape.tied,
        dropout_rate=0.0,
        decoder_start_token_id=0,
    )


def random_t5(shape: ModelShape) -> T5ForConditionalGeneration:
    """The same weights each time, on the CPU in float32."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return T5ForConditionalGeneration(config_of(shape)).eval()
