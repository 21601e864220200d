"""The small models' tokenizers: byte-level BPE, so that any text has an encoding and comes back as it was.

Every byte is a piece of the vocabulary, so an emoji or a script that the training text lacks costs more tokens and
loses nothing. There is no normalization: what is decoded is what was encoded, blanks included.
"""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast

PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"
CLS, SEP, MASK = "[CLS]", "[SEP]", "[MASK]"


def train_t5_tokenizer(texts: Iterable[str], *, vocabulary: int, max_tokens: int = 512) -> PreTrainedTokenizerFast:
    """A tokenizer in T5's manner: `<pad>` is 0, `</s>` is 1 and ends every sequence."""
    tokenizer = _train(texts, vocabulary=vocabulary, special_tokens=[PAD, END, UNKNOWN])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {END}", pair=f"$A {END} $B {END}", special_tokens=[(END, tokenizer.token_to_id(END))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        model_max_length=max_tokens,
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    )


def train_encoder_tokenizer(texts: Iterable[str], *, vocabulary: int, max_tokens: int = 512) -> PreTrainedTokenizerFast:
    """A tokenizer in BERT's manner: `[CLS]` before and `[SEP]` after every sequence."""
    tokenizer = _train(texts, vocabulary=vocabulary, special_tokens=[PAD, UNKNOWN, CLS, SEP, MASK])
    marks = [(mark, tokenizer.token_to_id(mark)) for mark in (CLS, SEP)]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{CLS} $A {SEP}", pair=f"{CLS} $A {SEP} $B:1 {SEP}:1", special_tokens=marks
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNKNOWN,
        cls_token=CLS,
        sep_token=SEP,
        mask_token=MASK,
        model_max_length=max_tokens,
        clean_up_tokenization_spaces=False,
    )


def _train(texts: Iterable[str], *, vocabulary: int, special_tokens: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(BPE())
    # A blank goes before every text and off again after decoding, so that a text's first word has the pieces of any
    # other word.
    tokenizer.normalizer = normalizers.Prepend(" ")
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    trainer = BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=special_tokens,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
