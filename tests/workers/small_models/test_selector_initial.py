import pytest
import torch
from transformers import AutoTokenizer

from workers.engine.selector import load_selector, wrap_selector, write_selector
from workers.small_models import SMALL_ENCODER
from workers.small_models.selector_initial import SAME_WORD_HEADS, selector_tokenizer, untrained_selector_model


@pytest.fixture(scope="module")
def tokenizer():
    return selector_tokenizer(AutoTokenizer.from_pretrained(SMALL_ENCODER))


def test_words_are_read_in_lower_case(tokenizer):
    assert tokenizer("Morning Report:")["input_ids"] == tokenizer("morning report:")["input_ids"]


def test_the_encoders_own_tokenizer_stays_as_it_is(tokenizer):
    of_the_encoder = AutoTokenizer.from_pretrained(SMALL_ENCODER)
    selector_tokenizer(of_the_encoder)
    assert of_the_encoder("Morning")["input_ids"] != of_the_encoder("morning")["input_ids"]


def test_lower_casing_is_kept_in_the_files(tokenizer, tmp_path):
    write_selector(tmp_path, wrap_selector(untrained_selector_model(tokenizer, seed=1), tokenizer, name="selector"))
    assert load_selector(tmp_path).tokenizer("Morning")["input_ids"] == tokenizer("morning")["input_ids"]


def test_a_word_attends_to_itself_elsewhere(tokenizer):
    model = untrained_selector_model(tokenizer, seed=1)
    model.set_attn_implementation("eager")
    # Twenty words, each of them twice.
    words = list(range(100, 120))
    with torch.inference_mode():
        attention = model.bert(torch.tensor([words + words]), output_attentions=True).attentions[0][0]
    elsewhere = attention[:, range(20), range(20, 40)]
    assert float(elsewhere[:SAME_WORD_HEADS].mean()) > 0.3
    assert float(elsewhere[SAME_WORD_HEADS:].mean()) < 0.1


def test_equal_seeds_give_equal_weights_and_leave_the_processs_draws_alone(tokenizer):
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    one, same, other = (untrained_selector_model(tokenizer, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["classifier.weight"], other["classifier.weight"])
