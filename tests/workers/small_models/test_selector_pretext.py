from dataclasses import replace

import pytest
from transformers import AutoTokenizer

from workers.engine.selector import TokenRow
from workers.small_models import SMALL_ENCODER
from workers.small_models.recipe import SMOKE
from workers.small_models.selector_initial import selector_tokenizer, untrained_selector_model
from workers.small_models.selector_pretext import count, learn_to_count

CLS, SEP = 2, 3
A, B, C, D = 10, 11, 12, 13
POST = TokenRow([CLS, A, B, C, A, B, SEP, A, B, D, SEP], [0] * 7 + [1] * 4)
PRE = TokenRow([CLS, A, B, C, A, B, A, B, SEP], [0] * 9)


def test_an_outputs_words_and_pairs_are_counted_in_the_prompt():
    found = count(POST)
    assert found.places == [1, 2, 3, 4, 5, 7, 8, 9]
    assert found.words[5:] == [2, 2, 0]
    assert found.pairs[5:] == [2, 0, 0]
    assert found.histograms[10:] == pytest.approx([1 / 3, 0, 2 / 3, 0, 0, 2 / 3, 0, 1 / 3, 0, 0])


def test_a_prompts_words_and_pairs_are_counted_elsewhere_in_it():
    found = count(PRE)
    assert found.places == [1, 2, 3, 4, 5, 6, 7]
    assert found.words == [2, 2, 0, 2, 2, 2, 2]
    assert found.pairs == [2, 0, 0, 2, 0, 2, 0]
    assert found.histograms[:10] == pytest.approx([1 / 7, 0, 6 / 7, 0, 0, 4 / 7, 0, 3 / 7, 0, 0])


def test_many_times_are_one_class():
    assert count(TokenRow([CLS, *[A] * 9, SEP], [0] * 11)).words == [4] * 9


def test_an_empty_prompt_has_nothing_to_count():
    assert count(TokenRow([CLS, SEP], [0, 0])).places == []


def test_the_loss_falls_where_there_is_something_to_count(tmp_path):
    tokenizer = selector_tokenizer(AutoTokenizer.from_pretrained(SMALL_ENCODER))
    model = untrained_selector_model(tokenizer, seed=1)
    losses = []
    recipe = replace(SMOKE, selector_counting_steps=60, selector_counting_batch=2)
    learn_to_count(
        recipe,
        model,
        [POST, PRE],
        identity="these",
        checkpoint=tmp_path / "counting.safetensors",
        on_step=lambda step, loss: losses.append(loss),
    )
    assert losses[-1] < losses[0] / 2
