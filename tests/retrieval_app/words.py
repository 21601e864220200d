"""Tokenizers for tests: one whose counts can be made by hand, and a real one of subwords."""

from functools import cache
from typing import Any

END = 1


class Words:
    """Whitespace-separated words are the tokens, and an end token follows, so a text of n words has n + 1 tokens."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._words: dict[int, str] = {}

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        ids = []
        for word in text.split():
            number = self._ids.setdefault(word, len(self._ids) + 2)
            self._words[number] = word
            ids.append(number)
        return [*ids, END] if add_special_tokens else ids

    def decode(self, token_ids: list[int], skip_special_tokens: bool = False) -> str:
        words = ["</s>" if number == END else self._words[number] for number in token_ids]
        return " ".join(word for word in words if word != "</s>" or not skip_special_tokens)


@cache
def subwords() -> Any:
    """A small Unigram tokenizer with T5's end token, trained here; most emoji are unknown to it."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    text = "the tag for movie is score title of a lamp post review Following given patterns written by user person and"
    sentences = [" ".join(text.split()[start::step]) for start in range(8) for step in range(1, 8)] * 3
    alphabet = [chr(code) for code in range(33, 127)]
    trainer = trainers.UnigramTrainer(
        vocab_size=200,
        special_tokens=["<pad>", "</s>", "<unk>"],
        unk_token="<unk>",
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator(sentences, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", END)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
