"""What a selector reads and how it chooses."""

import math
from functools import cache

import pytest

from lamp.catalogue import CATALOGUE, LAMP_1, LAMP_4, LAMP_7
from lamp.queries import input_of
from retrieval_app.prompts import build_prompt
from retrieval_app.selection import POST, PRE, SelectorText, choose, selector_text
from tests.lamp.golden_files import KEYS, golden
from workers.small_models import SMALL_T5


@cache
def tokenizer():
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(SMALL_T5)


def prompt_of(task, values, *documents):
    return build_prompt(task, input_of(task, values), documents, tokenizer=tokenizer())


CITATION = prompt_of(
    LAMP_1,
    {"title": "Lamps at Night", "first_reference": "On Posts", "second_reference": "On Rooms"},
    {"title": "Posts of Paris", "abstract": "Where they stand."},
)
HEADLINE = prompt_of(LAMP_4, {"text": "The Council met on Monday."}, {"title": "Rain", "text": "It Rained all day."})
TWEET = prompt_of(LAMP_7, {"text": "I LOVE my Lamp Post"}, {"text": "So Tired"}, {"text": "YAY"})
TWEET_ALONE = prompt_of(LAMP_7, {"text": "I LOVE my Lamp Post"})

LOWER_CASED = [
    (
        CITATION,
        'for an author who has written the paper with the title, and "posts of paris" "lamps at night", which '
        'reference is related? just answer with [1] or [2] without explanation. [1]: "on posts" [2]: "on rooms"',
    ),
    (
        HEADLINE,
        '"rain" is the title for "it rained all day." . generate a headline for the following article: '
        "the council met on monday.",
    ),
    (
        TWEET,
        '"so tired" , and "yay"  are written by a person. following the given patterns paraphrase the following tweet '
        "without any explanation before or after it: i love my lamp post",
    ),
    (
        TWEET_ALONE,
        "paraphrase the following tweet without any explanation before or after it: i love my lamp post",
    ),
]


@pytest.mark.parametrize(("prompt", "text"), LOWER_CASED)
def test_pre_reads_the_prompt_lower_cased_and_nothing_else(prompt, text):
    assert selector_text(reads=PRE, prompt=prompt, output=None) == SelectorText(text, None)
    assert selector_text(reads=PRE, prompt=prompt, output="Never Read") == SelectorText(text, None)


@pytest.mark.parametrize(("prompt", "text"), LOWER_CASED)
def test_post_reads_the_lower_cased_prompt_and_the_output_as_it_was_generated(prompt, text):
    assert selector_text(reads=POST, prompt=prompt, output=" My LAMP Post\n") == SelectorText(text, " My LAMP Post\n")


@pytest.mark.parametrize("key", KEYS)
def test_the_golden_prompt_of_every_task_is_read(key):
    case = golden(key)
    documents = [document["fields"] for document in case["documents"]]
    prompt = build_prompt(CATALOGUE[key], case["input"], documents, tokenizer=tokenizer())
    assert selector_text(reads=PRE, prompt=prompt, output=None).text == case["prompt"].lower()


def test_an_output_without_a_word_is_an_output():
    assert selector_text(reads=POST, prompt="P", output="") == SelectorText("p", "")


def test_post_has_nothing_to_read_before_generation():
    with pytest.raises(ValueError, match="generate it first"):
        selector_text(reads=POST, prompt=TWEET, output=None)


def test_there_is_no_third_way_of_reading():
    with pytest.raises(ValueError, match="pre or post"):
        selector_text(reads="both", prompt=TWEET, output="yes")


@pytest.mark.parametrize(
    ("scores", "chosen"),
    [
        ([0.1, 0.3, 0.2], 1),
        ([-5.0], 0),
        ([-2.0, -1.0, -3.0], 1),
        ([0.2, 0.7, 0.7], 1),
        ([0.0, -0.0], 0),
        ([-math.inf, 1.0], 1),
    ],
)
def test_the_highest_score_is_chosen_and_of_equal_ones_the_first(scores, chosen):
    assert choose(scores) == chosen


@pytest.mark.parametrize("scores", [[], [math.nan], [0.5, math.nan, 0.9]])
def test_without_a_number_for_each_nothing_is_chosen(scores):
    with pytest.raises(ValueError):
        choose(scores)
