import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from workers.small_models import SMALL_ENCODER, SMALL_T5

ODD_TEXTS = [
    "",
    " ",
    "  two blanks before and after  ",
    "tabs\tand\nlines\r\n",
    "emoji 😂❤️👩‍👩‍👧 and flags 🇩🇪",
    "日本語 עברית العربية naïve ﬁ",
    "\"quotes\" 'single' “curly” &amp; <tag>",
    "\x00\x01\u200d\ufeff",
    "Ġ▁ the tokenizers' own marks",
    "x" * 700,
]


@pytest.fixture(scope="module")
def t5_tokenizer():
    return AutoTokenizer.from_pretrained(SMALL_T5)


@pytest.fixture(scope="module")
def encoder_tokenizer():
    return AutoTokenizer.from_pretrained(SMALL_ENCODER)


def round_trip(tokenizer, text):
    return tokenizer.decode(tokenizer.encode(text), skip_special_tokens=True)


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_odd_text_comes_back_as_it_was(t5_tokenizer, encoder_tokenizer, text):
    assert round_trip(t5_tokenizer, text) == text
    assert round_trip(encoder_tokenizer, text) == text


# What stands literally as a special token is one, in this as in every tokenizer of `transformers`.
SPECIAL = ("<pad>", "</s>", "<unk>")


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])).filter(lambda text: not any(mark in text for mark in SPECIAL)))
def test_any_text_comes_back_and_is_never_unknown(t5_tokenizer, text):
    assert t5_tokenizer.unk_token_id not in t5_tokenizer.encode(text)
    assert round_trip(t5_tokenizer, text) == text


def test_the_t5_tokenizer_ends_as_t5s_do(t5_tokenizer):
    assert t5_tokenizer.pad_token_id == 0
    assert t5_tokenizer.encode("") == [t5_tokenizer.eos_token_id] == [1]
    assert t5_tokenizer.encode("a word")[-1] == 1
    assert 1 not in t5_tokenizer.encode("a word", add_special_tokens=False)


def test_the_encoder_tokenizer_marks_begin_and_end(encoder_tokenizer):
    tokens = encoder_tokenizer.encode("a word")
    assert (tokens[0], tokens[-1]) == (encoder_tokenizer.cls_token_id, encoder_tokenizer.sep_token_id)


def test_an_invented_word_falls_into_few_pieces(t5_tokenizer):
    from lamp.synthetic.words import language

    nouns = [noun for subject in language().subjects for noun in subject.nouns]
    pieces = [len(t5_tokenizer.encode(noun, add_special_tokens=False)) for noun in nouns]
    assert sum(pieces) / len(pieces) < 2.2
