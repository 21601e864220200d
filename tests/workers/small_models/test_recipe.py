import random
from dataclasses import replace
from itertools import islice

import pytest
import torch

from lamp.catalogue import get_task
from lamp.synthetic import TRAINING_SEEDS
from lamp.synthetic.population import people
from workers.small_models.__main__ import main
from workers.small_models.encoder_training import contrastive_loss, train_encoder
from workers.small_models.recipe import FULL, SMOKE, Part
from workers.small_models.samples import TASKS, texts, training_people, training_samples
from workers.small_models.t5_training import LONGEST_LABEL, _pool, schedule, train_t5
from workers.small_models.tokenization import train_encoder_tokenizer, train_t5_tokenizer


class Stopped(Exception):
    """The training was stopped from outside."""


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def some_texts():
    return list(texts(seed=SMOKE.seed, users=SMOKE.tokenizer_users))


@pytest.fixture(scope="module")
def t5_tokenizer(some_texts):
    return train_t5_tokenizer(some_texts, vocabulary=SMOKE.vocabulary)


@pytest.fixture(scope="module")
def encoder_tokenizer(some_texts):
    return train_encoder_tokenizer(some_texts, vocabulary=SMOKE.vocabulary)


def test_the_same_texts_give_the_same_tokenizer(some_texts, t5_tokenizer):
    again = train_t5_tokenizer(some_texts, vocabulary=SMOKE.vocabulary)
    assert again.backend_tokenizer.to_str() == t5_tokenizer.backend_tokenizer.to_str()


def test_no_benchmark_may_hold_the_users_of_the_training():
    seed = TRAINING_SEEDS.start + FULL.seed
    assert seed in TRAINING_SEEDS
    trained_on = {person.questions[0].input for person in islice(training_people("LaMP-4", seed=FULL.seed), 50)}
    benchmark = people("LaMP-4", users=range(1, 51), seed=FULL.seed, strength=0.9, drift=0.2)
    assert not trained_on & {asked.input for person in benchmark for asked in person.questions}


@pytest.mark.parametrize("task_key", TASKS)
def test_half_of_the_samples_have_a_profile_in_the_prompt(task_key, t5_tokenizer):
    person = next(training_people(task_key, seed=1))
    samples = list(training_samples(task_key, person, rng=random.Random(0), tokenizer=t5_tokenizer, entries=2))
    questions = {asked.input: asked.output for asked in person.questions}
    alone = [sample for sample in samples if sample in questions.items()]
    cut = get_task(task_key).variable_field
    with_profile = [
        (prompt, answer)
        for prompt, answer in samples
        if prompt not in questions and sum(written.fields[cut] in prompt for written in person.documents) >= 2
    ]
    assert len(alone) == len(with_profile) == len(questions)
    assert {answer for _, answer in with_profile} == set(questions.values())


def stop_after(steps):
    def on_step(step, loss):
        if step == steps:
            raise Stopped

    return on_step


@pytest.mark.parametrize("model", ["t5", "encoder"])
def test_a_stopped_training_goes_on_to_the_same_weights(tmp_path, model, t5_tokenizer, encoder_tokenizer):
    train, tokenizer = {"t5": (train_t5, t5_tokenizer), "encoder": (train_encoder, encoder_tokenizer)}[model]
    whole = train(SMOKE, tokenizer, checkpoint=tmp_path / "whole.safetensors")
    with pytest.raises(Stopped):
        train(SMOKE, tokenizer, checkpoint=tmp_path / "stopped.safetensors", on_step=stop_after(3))
    steps = []
    again = train(
        SMOKE, tokenizer, checkpoint=tmp_path / "stopped.safetensors", on_step=lambda step, loss: steps.append(step)
    )
    total = {"t5": SMOKE.t5_steps, "encoder": SMOKE.encoder_steps}[model]
    assert steps == list(range(3, total + 1))
    for (name, one), (_, other) in zip(whole.named_parameters(), again.named_parameters(), strict=True):
        assert torch.equal(one, other), name


def test_a_checkpoint_of_another_recipe_is_not_taken_up(tmp_path, encoder_tokenizer):
    checkpoint = tmp_path / "checkpoint.safetensors"
    train_encoder(SMOKE, encoder_tokenizer, checkpoint=checkpoint)
    steps = []
    other = replace(SMOKE, encoder_learning_rate=5e-4)
    train_encoder(other, encoder_tokenizer, checkpoint=checkpoint, on_step=lambda step, loss: steps.append(step))
    assert steps[0] == 1


@pytest.mark.parametrize("number", range(len(FULL.t5_parts)))
def test_in_each_part_the_learning_rate_warms_up_and_falls(number):
    part, before = FULL.t5_parts[number], sum(part.steps for part in FULL.t5_parts[:number])
    rates = [schedule(FULL, before + step) for step in range(part.steps)]
    assert rates[0] < 0.02 * part.rate < 0.9 * part.rate < max(rates) <= part.rate
    assert rates[-1] < 0.03 * part.rate


def test_between_warm_up_and_fall_the_learning_rate_stays():
    part = FULL.t5_parts[0]
    assert {schedule(FULL, step) for step in range(FULL.t5_warmup, int(part.falls_from * part.steps))} == {part.rate}


def test_a_part_may_take_more_users_of_some_tasks(t5_tokenizer):
    parts = (Part(4, 1.0, 0.5), Part(4, 1.0, 0.5, users=(("LaMP-1", 3), ("LaMP-2", 3), ("LaMP-3", 3))))
    recipe = replace(SMOKE, t5_parts=parts, t5_batch=26, pool_batches=4)

    def short(number):
        answers = [answer for batch in _pool(recipe, t5_tokenizer, number=number) for _, answer in batch]
        return sum(len(answer) <= LONGEST_LABEL for answer in answers) / len(answers)

    assert short(1) > short(0) + 0.1


def test_prompts_grow_to_four_entries():
    entries = [FULL.entries_at(step) for step in range(FULL.t5_steps)]
    assert entries[0] < entries[-1] == 4
    assert entries == sorted(entries)


def test_the_contrastive_loss_is_least_where_crops_match_their_own_document():
    matching = torch.eye(4, 16).repeat_interleave(2, dim=0) * 4
    mismatched = matching[[0, 3, 2, 5, 4, 7, 6, 1]]
    assert contrastive_loss(matching, temperature=0.05) < 0.01 < contrastive_loss(mismatched, temperature=0.05)


@pytest.mark.long
def test_the_recipe_builds_all_folders(tmp_path):
    main(["--smoke", "--out", str(tmp_path / "models"), "--checkpoints", str(tmp_path / "checkpoints")])
    for name in ("t5", "encoder", "selector_pre", "selector_post"):
        files = {file.name for file in (tmp_path / "models" / name).iterdir()}
        assert {"config.json", "model.safetensors", "tokenizer.json", "README.md"} <= files
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == [
        "encoder",
        "selector_post",
        "selector_pre",
        "t5",
    ]
