"""Generation: many users and none in one beam search, each as if alone."""

import random
import threading
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from transformers import MT5Config, MT5ForConditionalGeneration

from tests.workers.engine import oracle
from tests.workers.engine.models import WORDS, prompts, sentence, small_base, small_t5, words_tokenizer
from workers.engine.adapters import adapter_weights
from workers.engine.base_model import wrap
from workers.engine.decoding import Decoding
from workers.engine.generation import GeneratedText, GenerationRow, Generator, generate
from workers.engine.hyperparameters import Hyperparameters


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


def score_of(model, prompt: str, answer: GeneratedText) -> float:
    """What `model` itself gives our answer: the mean log-probability of its tokens, the prompt alone in its batch."""
    tokenizer = words_tokenizer()
    source = tokenizer([prompt], return_tensors="pt")
    # Only an answer that was cut at the limit lacks the end token.
    tokens = tokenizer([answer.text], return_tensors="pt").input_ids[:, : answer.output_tokens]
    assert tokens.shape[1] == answer.output_tokens
    with torch.no_grad():
        logits = model(input_ids=source.input_ids, labels=tokens).logits
    return float(logits.log_softmax(-1).gather(2, tokens[:, :, None]).mean())


def assert_same(found: GeneratedText, expected: tuple[str, float], *, model, prompt: str) -> None:
    """The same tokens; where hypotheses tie within float error any may win, and then `model` scores them even."""
    assert found.score == pytest.approx(expected[1], abs=1e-5)
    if found.text != expected[0]:
        assert score_of(model, prompt, found) == pytest.approx(expected[1], abs=2e-6)


def same_as_transformers(base, rows: list[GenerationRow], references: list, *, tokens: int) -> list[GeneratedText]:
    """Our answers to all rows at once, each shown to be that of its reference model alone."""
    answers = generate(base, rows, max_output_tokens=tokens)
    for reference in set(references):
        theirs = [place for place, one in enumerate(references) if one is reference]
        prompts = [rows[place].prompt for place in theirs]
        for place, expected in zip(theirs, by_transformers(reference, prompts, tokens=tokens), strict=True):
            assert_same(answers[place], expected, model=reference, prompt=rows[place].prompt)
    return answers


@pytest.fixture(scope="module")
def people(alice, bob, carol):
    return {"alice": alice, "bob": bob, "carol": carol}


@pytest.fixture(scope="module")
def dora(base):
    """Random weights of a high rank, so that the slots are wider than most adapters in them."""
    source = torch.Generator().manual_seed(4)
    shapes = base.projections.shapes(16)
    return adapter_weights(
        {name: torch.randn(shapes[name], generator=source) * 0.1 for name in shapes}, rank=16, alpha=8
    )


def test_mixed_rows_equal_peft_with_that_adapter_alone(base, people, dora):
    references = {
        name: oracle.peft_model(small_t5(), person.hyperparameters, person.weights) for name, person in people.items()
    }
    references["dora"] = oracle.peft_model(small_t5(), Hyperparameters(rank=16, alpha=8), dora.tensors)
    references["nobody"] = small_t5()
    adapters = {name: person.as_weights() for name, person in people.items()} | {"dora": dora, "nobody": None}
    source = random.Random(11)
    asked = [(sentence(source, longest=15), source.choice(sorted(references))) for _ in range(250)]
    rows = [GenerationRow(text, adapters[who]) for text, who in asked]
    answers = same_as_transformers(base, rows, [references[who] for _, who in asked], tokens=10)
    assert len({answer.output_tokens for answer in answers}) > 3, "the cases end at different lengths"


def test_where_hypotheses_tie_any_of_them_may_win_but_none_that_is_worse(people):
    model = small_t5()
    model.lm_head.weight.data[10:30] = model.lm_head.weight.data[30:50]  # twenty pairs of words that always tie
    tied = wrap(model, words_tokenizer(), name="tied", revision="0")
    person = people["alice"]
    theirs = small_t5()
    theirs.lm_head.weight.data.copy_(model.lm_head.weight.data)
    reference = oracle.peft_model(theirs, person.hyperparameters, person.weights)
    rows = [GenerationRow(prompt, person.as_weights()) for prompt in prompts(15, count=20)]
    answers = same_as_transformers(tied, rows, [reference] * len(rows), tokens=6)
    # An answer that was cut at the limit may end with either word of a pair, and with no other.
    twins = {f"w{word}": f"w{word + 20}" for word in range(7, 27)}
    place = next(place for place, one in enumerate(answers) if one.text.split()[5:] and one.text.split()[5] in twins)
    won, prompt = answers[place], rows[place].prompt
    *start, last = won.text.split()
    even, worse = (replace(won, text=" ".join([*start, word])) for word in (twins[last], "w50"))
    assert_same(even, (won.text, won.score), model=reference, prompt=prompt)
    with pytest.raises(AssertionError):
        assert_same(worse, (won.text, won.score), model=reference, prompt=prompt)


def test_rows_without_an_adapter_equal_the_base(base, alice):
    asked = prompts(5, count=12)
    adapter = alice.as_weights()
    rows = [GenerationRow(prompt, adapter if row % 3 == 0 else None) for row, prompt in enumerate(asked)]
    plain = small_t5()
    expected = by_transformers(plain, asked, tokens=8)
    for row, answer in enumerate(generate(base, rows, max_output_tokens=8)):
        if row % 3:
            assert_same(answer, expected[row], model=plain, prompt=asked[row])


@pytest.mark.parametrize("beams", [2, 3, 5])
def test_any_number_of_beams_equals_transformers(base, beams):
    asked = prompts(6, count=10)
    plain = small_t5()
    answers = generate(base, [GenerationRow(prompt) for prompt in asked], num_beams=beams, max_output_tokens=7)
    expected = by_transformers(plain, asked, beams=beams, tokens=7)
    for prompt, answer, theirs in zip(asked, answers, expected, strict=True):
        assert_same(answer, theirs, model=plain, prompt=prompt)


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
    rows = [GenerationRow(prompt) for prompt in prompts(8, count=5)]
    same_as_transformers(scaled, rows, [model] * len(rows), tokens=6)


@pytest.mark.parametrize("feed_forward", ["relu", "gated-gelu"])
def test_an_mt5_equals_transformers(feed_forward):
    config = MT5Config(**small_t5().config.to_dict() | {"feed_forward_proj": feed_forward})
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = MT5ForConditionalGeneration(config).eval()
    base = wrap(model, words_tokenizer(), name="mt5", revision="0")
    rows = [GenerationRow(prompt) for prompt in prompts(17, count=6)]
    same_as_transformers(base, rows, [model] * len(rows), tokens=6)


def test_answers_longer_than_the_room_for_keys_and_values_equal_transformers(base, people):
    person = people["bob"]
    reference = oracle.peft_model(small_t5(), person.hyperparameters, person.weights)
    # Without the end token in reach every answer takes all steps.
    reference.base_model.model.lm_head.weight.data[1] = -10
    endless = small_t5()
    endless.lm_head.weight.data[1] = -10
    endless = wrap(endless, words_tokenizer(), name="endless", revision="0")
    rows = [GenerationRow(prompt, person.as_weights()) for prompt in prompts(18, count=4)]
    answers = same_as_transformers(endless, rows, [reference] * len(rows), tokens=40)
    assert max(answer.output_tokens for answer in answers) == 40


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_decoder_in_other_precisions_equals_transformers_up_to_rounding(dtype):
    base = small_base(dtype=dtype)
    source = torch.randint(3, 60, (2, 7), generator=torch.Generator().manual_seed(1))
    tokens = torch.randint(3, 60, (2, 5), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        encoded = base.model.encoder(input_ids=source).last_hidden_state
        expected = small_t5(dtype=dtype)(input_ids=source, decoder_input_ids=tokens).logits.float().log_softmax(-1)
        decoding = Decoding(base, encoded, torch.ones_like(source), beams=1, max_tokens=5, lora=None)
        found = torch.stack([decoding.advance(tokens[:, step]) for step in range(5)], dim=1)
    assert torch.allclose(found, expected, atol=1e-5 if dtype == torch.float64 else 0.3)


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
    assert (generator.snapshot().copies, generator.snapshot().hits) == (2, 2)
    generator.generate([GenerationRow("w3", people["bob"].as_weights())], max_output_tokens=2)
    assert generator.snapshot().copies == 3
    before = generator.generate(rows[:1], max_output_tokens=6)
    assert before[0].text == Generator(base).generate(rows[:1], max_output_tokens=6)[0].text


def test_exact_mode_does_not_depend_on_the_other_rows_to_the_byte(base, people):
    mine = [GenerationRow(prompt, people["alice"].as_weights()) for prompt in prompts(10, count=3)]
    others = [GenerationRow(prompt, people["carol"].as_weights()) for prompt in prompts(12, count=4)]
    alone = generate(base, mine, max_output_tokens=8, exact=True)
    among = generate(base, [others[0], mine[0], *others[1:], *mine[1:]], max_output_tokens=8, exact=True)
    assert [among[1], *among[5:]] == alone


def test_exact_mode_does_not_depend_on_what_the_slots_held_before_to_the_byte(base, people, dora):
    mine = [GenerationRow(prompt, people["alice"].as_weights()) for prompt in prompts(10, count=3)]
    used = Generator(base, slots=3)
    used.generate([GenerationRow("w1", dora), GenerationRow("w2", people["carol"].as_weights())], max_output_tokens=2)
    assert used.generate(mine, max_output_tokens=8, exact=True) == generate(base, mine, max_output_tokens=8, exact=True)


class Unavailable:
    """An adapter that cannot be had."""

    digest = "unavailable"
    rank = 4

    def held(self):
        raise LookupError("it is not there")


def test_an_adapter_that_cannot_be_had_fails_its_own_rows_only(base, people):
    rows = [
        GenerationRow("w1 w2", people["alice"].as_weights()),
        GenerationRow("w1 w2", Unavailable()),
        GenerationRow("w1 w2"),
        GenerationRow("w3", Unavailable()),
    ]
    search = {"num_beams": 4, "max_input_tokens": 16, "max_output_tokens": 6, "exact": False}
    answered = {one.row: one for batch in Generator(base).answers(rows, **search) for one in batch}
    assert [answered[row].result() for row in (0, 2)] == generate(base, [rows[0], rows[2]], max_output_tokens=6)
    for row in (1, 3):
        with pytest.raises(LookupError, match="not there"):
            answered[row].result()


def test_each_batch_is_answered_before_the_next_one_s_adapters_are_asked_for(base, people):
    happened = []

    class Watched:
        rank = 8

        def __init__(self, name):
            self.digest = self.name = name

        @contextmanager
        def held(self):
            happened.append(self.name)
            yield people[self.name].as_weights()

    rows = [GenerationRow("w1 w2 w3 w4", Watched("carol")), GenerationRow("w1", Watched("bob"))]
    search = {"num_beams": 2, "max_input_tokens": 16, "max_output_tokens": 2, "exact": False}
    happened.extend(answered.row for [answered] in Generator(base, max_rows=1).answers(rows, **search))
    assert happened == ["carol", 0, "bob", 1]


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


@pytest.mark.parametrize(("rows", "sizes"), [(3, [3]), (4, [4]), (5, [3, 2]), (9, [3, 3, 3]), (10, [4, 4, 2])])
def test_batches_are_of_like_size(base, rows, sizes):
    search = {"num_beams": 1, "max_input_tokens": 16, "max_output_tokens": 2, "exact": False}
    batches = Generator(base, max_rows=4).answers([GenerationRow("w1")] * rows, **search)
    assert [len(batch) for batch in batches] == sizes


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
    assert generator.snapshot().copies == 1


def test_slots_are_not_made_anew_while_another_thread_holds_the_model():
    """It may be the one that empties the slots of whoever was erased."""
    base = small_base()
    generator = Generator(base)
    asked = threading.Thread(target=lambda: generator.generate([GenerationRow("rain")], max_output_tokens=1))
    made = []
    generator._cache.make_room = lambda rank: made.append(rank)
    with base.exclusive():
        asked.start()
        asked.join(0.3)
        assert made == []
    asked.join(30)
    assert made == [1]
