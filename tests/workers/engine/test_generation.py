"""Generation: many users and none in one beam search, each as if alone."""

import random

import pytest
import torch

from tests.workers.engine import oracle
from tests.workers.engine.models import WORDS, prompts, sentence, small_base, small_t5, words_tokenizer
from workers.engine.adapters import adapter_weights
from workers.engine.base_model import wrap
from workers.engine.generation import GeneratedText, GenerationRow, Generator, generate


def by_transformers(model, prompts: list[str], *, beams: int = 4, tokens: int = 10) -> list[tuple[str, float]]:
    """One adapter's prompts, by transformers' own generate: texts and scores."""
    tokenizer = words_tokenizer()
    source = tokenizer(prompts, padding=True, return_tensors="pt")
    with torch.no_grad():
        output = model.generate(
            input_ids=source.input_ids,
            attention_mask=source.attention_mask,
            num_beams=beams,
            do_sample=False,
            max_new_tokens=tokens,
            return_dict_in_generate=True,
            output_scores=True,
        )
    texts = tokenizer.batch_decode(output.sequences, skip_special_tokens=True)
    return list(zip(texts, output.sequences_scores.tolist(), strict=True))


def assert_same(found: GeneratedText, expected: tuple[str, float]) -> None:
    """The same tokens; where two beams tie within float error either may win, and then the scores tie."""
    assert found.score == pytest.approx(expected[1], abs=1e-5)
    if found.text != expected[0]:
        assert abs(found.score - expected[1]) < 1e-6


@pytest.fixture(scope="module")
def people(alice, bob, carol):
    return {"alice": alice, "bob": bob, "carol": carol}


def test_mixed_rows_equal_peft_with_that_adapter_alone(base, people):
    references = {
        name: oracle.peft_model(small_t5(), person.hyperparameters, person.weights) for name, person in people.items()
    }
    references["nobody"] = small_t5()
    source = random.Random(11)
    asked = [(sentence(source, longest=15), source.choice(sorted(references))) for _ in range(200)]
    rows = [GenerationRow(text, people[who].as_weights() if who in people else None) for text, who in asked]
    answers = generate(base, rows, max_output_tokens=10)
    for who, reference in references.items():
        theirs = [place for place, (_, asker) in enumerate(asked) if asker == who]
        expected = by_transformers(reference, [asked[place][0] for place in theirs])
        for place, text_and_score in zip(theirs, expected, strict=True):
            assert_same(answers[place], text_and_score)
    assert len({answer.output_tokens for answer in answers}) > 3, "the cases end at different lengths"


def test_rows_without_an_adapter_equal_the_base(base, alice):
    asked = prompts(5, count=12)
    adapter = alice.as_weights()
    rows = [GenerationRow(prompt, adapter if row % 3 == 0 else None) for row, prompt in enumerate(asked)]
    expected = by_transformers(small_t5(), asked, tokens=8)
    for row, answer in enumerate(generate(base, rows, max_output_tokens=8)):
        if row % 3:
            assert_same(answer, expected[row])


@pytest.mark.parametrize("beams", [2, 3, 5])
def test_any_number_of_beams_equals_transformers(base, beams):
    asked = prompts(6, count=10)
    answers = generate(base, [GenerationRow(prompt) for prompt in asked], num_beams=beams, max_output_tokens=7)
    for answer, expected in zip(answers, by_transformers(small_t5(), asked, beams=beams, tokens=7), strict=True):
        assert_same(answer, expected)


def test_one_beam_is_greedy_search(base, carol):
    asked = prompts(7, count=10)
    reference = oracle.peft_model(small_t5(), carol.hyperparameters, carol.weights)
    tokenizer = words_tokenizer()
    answers = generate(
        base, [GenerationRow(prompt, carol.as_weights()) for prompt in asked], num_beams=1, max_output_tokens=9
    )
    for prompt, answer in zip(asked, answers, strict=True):
        ids = reference.generate(input_ids=tokenizer([prompt], return_tensors="pt").input_ids, max_new_tokens=9)
        assert answer.text == tokenizer.decode(ids[0], skip_special_tokens=True)


def test_a_t5_of_the_first_version_scales_its_outputs():
    model = small_t5()
    model.config.scale_decoder_outputs = True
    model.shared.weight.data *= 5  # else nothing would tell the answers apart
    scaled = wrap(model, words_tokenizer(), name="t5-v1.0", revision="0")
    asked = prompts(8, count=5)
    answers = generate(scaled, [GenerationRow(prompt) for prompt in asked], max_output_tokens=6)
    for answer, expected in zip(answers, by_transformers(model, asked, tokens=6), strict=True):
        assert_same(answer, expected)


def test_more_adapters_than_slots_take_several_passes(base, people):
    rows = [
        GenerationRow(prompt, people[name].as_weights())
        for prompt in prompts(9, count=4)
        for name in ("alice", "bob", "carol")
    ]
    roomy = Generator(base).generate(rows, max_output_tokens=6)
    tight = Generator(base, slots=1, max_rows=3).generate(rows, max_output_tokens=6)
    assert [answer.text for answer in tight] == [answer.text for answer in roomy]


def test_a_user_asked_for_again_is_not_loaded_again(base, people):
    generator = Generator(base, slots=2)
    rows = [GenerationRow("w1", people["alice"].as_weights()), GenerationRow("w2", people["carol"].as_weights())]
    generator.generate(rows, max_output_tokens=2)
    generator.generate(rows, max_output_tokens=2)
    assert (generator.loads, generator.hits) == (2, 2)
    generator.generate([GenerationRow("w3", people["bob"].as_weights())], max_output_tokens=2)
    assert generator.loads == 3
    before = generator.generate(rows[:1], max_output_tokens=6)
    assert before[0].text == Generator(base).generate(rows[:1], max_output_tokens=6)[0].text


def test_exact_mode_does_not_depend_on_the_other_rows_to_the_byte(base, people):
    mine = [GenerationRow(prompt, people["alice"].as_weights()) for prompt in prompts(10, count=3)]
    others = [GenerationRow(prompt, people["carol"].as_weights()) for prompt in prompts(12, count=4)]
    alone = generate(base, mine, max_output_tokens=8, exact=True)
    among = generate(base, [others[0], mine[0], *others[1:], *mine[1:]], max_output_tokens=8, exact=True)
    assert [among[1], *among[5:]] == alone


def test_results_keep_the_rows_order_and_count_tokens(base):
    rows = [GenerationRow("w1 w2 w3"), GenerationRow(""), GenerationRow("w4 " * 40)]
    answers = generate(base, rows, max_input_tokens=16, max_output_tokens=5)
    assert [answer.input_tokens for answer in answers] == [4, 1, 16]
    assert all(1 <= answer.output_tokens <= 5 for answer in answers)
    assert generate(base, []) == []


def test_what_lies_beyond_the_input_limit_changes_nothing(base):
    start = " ".join(WORDS[:15])
    one, other = generate(base, [GenerationRow(f"{start} w3"), GenerationRow(f"{start} w9 w8")], max_input_tokens=16)
    assert one.text == other.text


def test_batches_hold_no_more_tokens_than_allowed(base):
    rows = [GenerationRow(prompt) for prompt in prompts(13, count=20)]
    generous = Generator(base).generate(rows, max_output_tokens=4)
    thrifty = Generator(base, max_batch_tokens=20).generate(rows, max_output_tokens=4)
    assert [answer.text for answer in thrifty] == [answer.text for answer in generous]


def test_generation_is_deterministic(people):
    rows = [GenerationRow(prompt, people["bob"].as_weights()) for prompt in prompts(14, count=6)]
    assert generate(small_base(), rows, max_output_tokens=6) == generate(small_base(), rows, max_output_tokens=6)


def test_adapters_are_told_apart_by_content_not_by_object(base, alice):
    copy = adapter_weights({name: tensor.clone() for name, tensor in alice.weights.items()}, rank=4, alpha=32.0)
    generator = Generator(base)
    generator.generate([GenerationRow("w1", alice.as_weights()), GenerationRow("w1", copy)], max_output_tokens=2)
    assert generator.loads == 1
