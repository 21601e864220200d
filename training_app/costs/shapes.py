"""Shapes of the T5 family: what a model's size and arithmetic follow from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FAMILY = ("t5", "mt5")


class UnknownShape(ValueError):
    """A model whose shape cannot be told; the message says why."""


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """A T5's dimensions, by the names of its config.json.

    `gated` is the feed-forward of T5 v1.1 and FlanT5, with three matrices instead of two; `tied` says that the output
    layer is the input embedding.
    """

    d_model: int
    d_kv: int
    d_ff: int
    num_heads: int
    num_layers: int
    num_decoder_layers: int
    vocab_size: int
    gated: bool
    tied: bool
    relative_attention_num_buckets: int = 32

    @property
    def inner(self) -> int:
        """The width of all attention heads together."""
        return self.num_heads * self.d_kv

    @property
    def projection(self) -> int:
        """Parameters of one of q, k, v and o."""
        return self.d_model * self.inner

    @property
    def feed_forward(self) -> int:
        """Parameters of a block's feed-forward."""
        return (3 if self.gated else 2) * self.d_model * self.d_ff

    @property
    def parameters(self) -> int:
        """All parameters of the model, each counted once."""
        d = self.d_model
        embeddings = (1 if self.tied else 2) * self.vocab_size * d
        encoder = self.num_layers * (4 * self.projection + self.feed_forward + 2 * d)
        decoder = self.num_decoder_layers * (8 * self.projection + self.feed_forward + 3 * d)
        # The first block of each stack holds the position bias of all of them; each stack ends in a norm.
        position_biases = 2 * self.relative_attention_num_buckets * self.num_heads
        return embeddings + encoder + decoder + position_biases + 2 * d

    @property
    def lora_projections(self) -> int:
        """q, k and v of encoder self-, decoder self- and cross-attention (LaMP reference §6)."""
        return 3 * self.num_layers + 6 * self.num_decoder_layers

    def lora_parameters(self, rank: int) -> int:
        """Parameters of an adapter: matrices A [rank, d_model] and B [inner, rank] beside each projection."""
        return rank * self.lora_projections * (self.d_model + self.inner)


def _flan(*, d_model: int, d_ff: int, num_heads: int, layers: int) -> ModelShape:
    return ModelShape(
        d_model=d_model,
        d_kv=64,
        d_ff=d_ff,
        num_heads=num_heads,
        num_layers=layers,
        num_decoder_layers=layers,
        vocab_size=32128,
        gated=True,
        tied=False,
    )


# As in the published config.json files.
PUBLISHED: Mapping[str, ModelShape] = {
    "google/flan-t5-small": _flan(d_model=512, d_ff=1024, num_heads=6, layers=8),
    "google/flan-t5-base": _flan(d_model=768, d_ff=2048, num_heads=12, layers=12),
    "google/flan-t5-large": _flan(d_model=1024, d_ff=2816, num_heads=16, layers=24),
    "google/flan-t5-xl": _flan(d_model=2048, d_ff=5120, num_heads=32, layers=24),
    "google/flan-t5-xxl": _flan(d_model=4096, d_ff=10240, num_heads=64, layers=24),
}


def shape_from_config(config: Mapping[str, Any]) -> ModelShape:
    """The shape that a config.json describes; what it leaves out is as transformers' T5Config has it.

    Raises `UnknownShape` for a model of another family, and for dimensions that are no positive whole numbers.
    """
    family = config.get("model_type", "t5")
    if family not in FAMILY:
        raise UnknownShape(f"It is a {family} model; base models are of the T5 family ({', '.join(FAMILY)}).")

    def dimension(name: str, default: int) -> int:
        value = config.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise UnknownShape(f"Its {name} is no positive whole number.")
        return value

    layers = dimension("num_layers", 6)
    return ModelShape(
        d_model=dimension("d_model", 512),
        d_kv=dimension("d_kv", 64),
        d_ff=dimension("d_ff", 2048),
        num_heads=dimension("num_heads", 8),
        num_layers=layers,
        num_decoder_layers=layers if config.get("num_decoder_layers") is None else dimension("num_decoder_layers", 6),
        vocab_size=dimension("vocab_size", 32128),
        gated=str(config.get("feed_forward_proj", "relu")).startswith("gated-"),
        # transformers 5 writes "tied" for every T5; what it keeps of an untied one is that outputs are not scaled.
        tied=bool(config.get("tie_word_embeddings", True)) and config.get("scale_decoder_outputs") is not False,
        relative_attention_num_buckets=dimension("relative_attention_num_buckets", 32),
    )
