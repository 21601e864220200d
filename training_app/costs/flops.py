"""Floating-point operations of training and generating with a frozen T5 and LoRA, from shapes and lengths.

A matrix product [m, k] × [k, n] counts 2·m·k·n, as in torch's FlopCounterMode and in manufacturers' peak rates.
Counted are matrix products alone: norms, activations, softmax, dropout, embeddings, the optimizer (elementwise over
the adapter) and padding are left out. They move memory more than they compute, and the utilization stands for them.

Attention is counted in full where half of a causal one would do, and once where a fused kernel computes the scores
again on the way back.
"""

from dataclasses import dataclass

from training_app.costs.lengths import TokenSums
from training_app.costs.shapes import ModelShape


@dataclass(frozen=True)
class TrainingFlops:
    """Operations by what they are for.

    `forward` is the frozen model's, output layer included; `backward` the gradients with respect to its activations
    (a frozen matrix has none of its own); `lora` the adapters' own, both ways; `recomputed` what gradient
    checkpointing does again.
    """

    forward: float
    backward: float
    lora: float
    recomputed: float = 0

    @property
    def total(self) -> float:
        return self.forward + self.backward + self.lora + self.recomputed


def training_flops(
    shape: ModelShape, *, rank: int, tokens: TokenSums, gradient_checkpointing: bool = False
) -> TrainingFlops:
    """Operations of forward and backward over pairs whose lengths sum to `tokens`."""
    linear = _linear(shape, tokens)
    attention = _attention(shape, tokens)
    output = 2 * shape.d_model * shape.vocab_size * tokens.target
    # Below the first block's q, k and v nothing is trained, so no gradient goes through them.
    first = 2 * 3 * shape.projection * tokens.tokens
    # A block is computed again up to what its backward needs, which the last matrix of its feed-forward does not.
    last_matrices = shape.num_layers * tokens.source + shape.num_decoder_layers * tokens.target
    last = 2 * shape.d_model * shape.d_ff * last_matrices
    lora_forward = _lora(shape, rank, tokens)
    lora_first = 2 * 3 * rank * shape.d_model * tokens.tokens
    return TrainingFlops(
        forward=linear + attention + output,
        # Both factors of an attention product have a gradient; of the output layer only the states.
        backward=linear - first + 2 * attention + output,
        # A product of two trained-through factors: two products back for one forward.
        lora=3 * lora_forward - lora_first,
        recomputed=linear - last + attention + lora_forward if gradient_checkpointing else 0,
    )


def generation_flops(
    shape: ModelShape, *, rank: int = 0, source_tokens: int, output_tokens: int, beams: int = 4
) -> float:
    """Operations of answering one prompt by beam search of `output_tokens` steps; rank 0 is the base model alone.

    The encoder and cross-attention's keys and values are computed once a prompt; every step then takes one token of
    each beam through the decoder, over cached keys and values, and through the output layer.
    """
    per_rank = 2 * rank * (shape.d_model + shape.inner)
    prompt = shape.num_layers * (
        2 * (4 * shape.projection + shape.feed_forward) * source_tokens
        + 4 * shape.inner * source_tokens**2
        + 3 * per_rank * source_tokens
    )
    prompt += shape.num_decoder_layers * (2 * 2 * shape.projection + 2 * per_rank) * source_tokens
    # Step t attends to t tokens of its own.
    attended = output_tokens * (output_tokens + 1) // 2 + output_tokens * source_tokens
    block = (
        2 * (6 * shape.projection + shape.feed_forward) + 4 * per_rank
    ) * output_tokens + 4 * shape.inner * attended
    output = 2 * shape.d_model * shape.vocab_size * output_tokens
    return prompt + beams * (shape.num_decoder_layers * block + output)


def _linear(shape: ModelShape, tokens: TokenSums) -> float:
    """The stacks' frozen matrices: a source token goes through the encoder and through cross-attention's k and v."""
    encoder = shape.num_layers * (4 * shape.projection + shape.feed_forward) * tokens.source
    of_target = (6 * shape.projection + shape.feed_forward) * tokens.target
    of_source = 2 * shape.projection * tokens.source
    return 2 * (encoder + shape.num_decoder_layers * (of_target + of_source))


def _attention(shape: ModelShape, tokens: TokenSums) -> float:
    """Scores and weighted sums: two products of each pair of positions."""
    encoder = shape.num_layers * tokens.source_squared
    decoder = shape.num_decoder_layers * (tokens.target_squared + tokens.source_by_target)
    return 4 * shape.inner * (encoder + decoder)


def _lora(shape: ModelShape, rank: int, tokens: TokenSums) -> float:
    """The adapters' forward: q, k, v of both stacks, and of cross-attention q on the target, k and v on the source."""
    of_source = 3 * shape.num_layers + 2 * shape.num_decoder_layers
    of_target = 4 * shape.num_decoder_layers
    return 2 * rank * (shape.d_model + shape.inner) * (of_source * tokens.source + of_target * tokens.target)
