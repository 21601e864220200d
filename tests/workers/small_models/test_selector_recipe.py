import json
import shutil
from dataclasses import replace

import pytest
import torch

from lamp.synthetic import TRAINING_SEEDS
from retrieval_app.selection import POST, PRE
from workers.engine.base_model import load_base_model
from workers.engine.encoder import load_encoder
from workers.engine.selector import load_selector, score, write_selector
from workers.small_models import SMALL_ENCODER, SMALL_T5
from workers.small_models.__main__ import main
from workers.small_models.recipe import SMOKE, Setting
from workers.small_models.selector_feedback import MEMBERS, POOL, PoolAnswers, benchmark_answers, gather
from workers.small_models.selector_measuring import mean_share, measure_selectors
from workers.small_models.selector_training import train_selector, untrained_selector


class Stopped(Exception):
    """The training was stopped from outside."""


@pytest.fixture(autouse=True)
def one_thread_and_no_hub(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def answers(number: int, *, outputs: tuple[str, ...] = ("4", "1", "5", "3"), gold: str = "5") -> PoolAnswers:
    prompts = tuple(f"{member} says {number}" for member in MEMBERS)
    return PoolAnswers("LaMP-3", number // 2, str(number), gold, MEMBERS, prompts, outputs)


FEEDBACK = [answers(number) for number in range(6)]
TRAINING = {"reads": POST, "train": FEEDBACK, "picked": FEEDBACK[:2], "identity": "these"}


def bytes_of(selector, folder) -> bytes:
    write_selector(folder, selector)
    return (folder / "model.safetensors").read_bytes()


def test_building_twice_gives_the_same_bytes(tmp_path):
    first, second = (
        bytes_of(
            train_selector(SMOKE, SMALL_ENCODER, checkpoint=tmp_path / f"{number}.safetensors", **TRAINING)[0],
            tmp_path / str(number),
        )
        for number in range(2)
    )
    assert first == second


def test_a_stopped_training_goes_on_to_the_same_bytes(tmp_path):
    def stop(step, loss):
        if step == 2:
            raise Stopped

    whole, _ = train_selector(SMOKE, SMALL_ENCODER, checkpoint=tmp_path / "whole.safetensors", **TRAINING)
    checkpoint = tmp_path / "stopped.safetensors"
    with pytest.raises(Stopped):
        train_selector(SMOKE, SMALL_ENCODER, checkpoint=checkpoint, on_step=stop, **TRAINING)
    steps = []
    again, _ = train_selector(
        SMOKE, SMALL_ENCODER, checkpoint=checkpoint, on_step=lambda step, loss: steps.append(step), **TRAINING
    )
    # Of counting the last; then those of comparing and of the rounds with the tutor, with the even tutor and with the
    # feedback.
    assert steps == [3, *[1, 2, 3] * 4]
    assert bytes_of(again, tmp_path / "again") == bytes_of(whole, tmp_path / "whole")


def test_what_comes_out_is_the_mean_of_what_the_last_rounds_reach(tmp_path):
    def weights(**changed):
        checkpoint = tmp_path / f"{changed}.safetensors"
        selector, courses = train_selector(replace(SMOKE, **changed), SMALL_ENCODER, checkpoint=checkpoint, **TRAINING)
        return courses, dict(selector.model.named_parameters())

    rounds = SMOKE.selector_rounds
    (_, earlier), (courses, last) = (
        weights(selector_rounds=rounds[:2], selector_mean_from=1),
        weights(selector_mean_from=2),
    )
    _, mean = weights(selector_mean_from=1)
    assert [course.teacher for course in courses] == [rounds[-1].teacher]
    for name, found in mean.items():
        torch.testing.assert_close(found, (earlier[name] + last[name]) / 2)
    assert any(not torch.equal(earlier[name], last[name]) for name in last)


def test_a_checkpoint_of_another_training_is_not_taken_up(tmp_path):
    checkpoint = tmp_path / "checkpoint.safetensors"
    train_selector(SMOKE, SMALL_ENCODER, checkpoint=checkpoint, **TRAINING)
    steps = []
    other = TRAINING | {"identity": "others"}
    train_selector(SMOKE, SMALL_ENCODER, checkpoint=checkpoint, on_step=lambda step, loss: steps.append(step), **other)
    assert steps[0] == 1


@pytest.fixture(scope="module")
def models():
    return load_base_model(str(SMALL_T5)), load_encoder(str(SMALL_ENCODER))


def test_feedback_that_has_been_made_is_read_again(tmp_path, models, monkeypatch):
    monkeypatch.setattr("workers.small_models.selector_feedback.TASKS", ("LaMP-3",))
    made = gather(SMOKE, *models, folder=tmp_path, made_with="these models")
    (part,) = tmp_path.iterdir()
    written = part.stat().st_mtime_ns
    assert gather(SMOKE, *models, folder=tmp_path, made_with="these models") == made
    assert part.stat().st_mtime_ns == written
    gather(SMOKE, *models, folder=tmp_path, made_with="other models")
    assert len(list(tmp_path.iterdir())) == 2


def test_no_user_is_both_trained_on_and_picked_by(tmp_path, models, monkeypatch):
    monkeypatch.setattr("workers.small_models.selector_feedback.TASKS", ("LaMP-3",))
    train, picked, _ = gather(SMOKE, *models, folder=tmp_path, made_with="these models")
    assert train
    assert picked
    assert not {one.user_id for one in train} & {one.user_id for one in picked}


def test_a_benchmark_of_a_training_seed_is_refused(models):
    with pytest.raises(ValueError, match="training seed"):
        benchmark_answers(
            *models, "LaMP-3", users=1, seed=TRAINING_SEEDS.start, setting=Setting(strength=1.0, drift=0.5)
        )


class Always:
    """What chooses the same member of the pool for every question."""

    def __init__(self, member: str) -> None:
        self.place = POOL.index(member)


@pytest.fixture
def chosen(monkeypatch):
    monkeypatch.setattr(
        "workers.small_models.selector_measuring.choices", lambda selector, rows, *, reads: [selector.place] * len(rows)
    )


@pytest.mark.usefixtures("chosen")
def test_shares_are_of_the_gap_between_the_best_single_retriever_and_the_pools_oracle():
    # Errors of recency and contriever: (0, 2) and (4, 0); the latter is the best single one, with 1 on average.
    rows = [answers(0), answers(2, outputs=("3", "1", "1", "5"))]
    measured = measure_selectors({PRE: Always("contriever"), POST: Always("recency")}, {"LaMP-3": rows})["LaMP-3"]
    assert (measured.metric, measured.best, measured.members["contriever"], measured.oracle) == (
        "MAE",
        "contriever",
        1,
        0,
    )
    assert (measured.chosen[PRE].score, measured.chosen[PRE].share) == (1, 0)
    assert (measured.chosen[POST].score, measured.chosen[POST].share) == (2, -1)


@pytest.mark.usefixtures("chosen")
def test_the_best_single_retriever_may_be_none_of_the_pool():
    # Errors: (1, 4, 0, 2) and (1, 0, 3, 1).
    rows = [answers(0), answers(2, outputs=("4", "5", "2", "4"))]
    measured = measure_selectors({PRE: Always("contriever")}, {"LaMP-3": rows})["LaMP-3"]
    assert (measured.best, measured.oracle, measured.oracle_of_all) == ("none", 0.5, 0)
    assert measured.chosen[PRE].share == -1


@pytest.mark.usefixtures("chosen")
def test_where_all_members_answer_alike_there_is_no_gap_and_no_gain():
    rows = [answers(number, outputs=("4",) * 4) for number in range(4)]
    measured = measure_selectors({PRE: Always("contriever"), POST: Always("recency")}, {"LaMP-3": rows})
    assert measured["LaMP-3"].chosen[PRE].share is None
    assert mean_share(measured, PRE) == 0


def test_an_untrained_selector_scores_about_alike():
    texts = [text for one in FEEDBACK for text in one.sample(reads=POST).texts]
    scores = score(untrained_selector(SMOKE, SMALL_ENCODER), texts)
    assert scores.max() - scores.min() < 0.5


@pytest.mark.long
def test_the_recipe_builds_both_selectors_twice_alike(tmp_path):
    built = []
    for name in ("one", "two"):
        out = tmp_path / name
        out.mkdir()
        shutil.copytree(SMALL_T5, out / "t5")
        shutil.copytree(SMALL_ENCODER, out / "encoder")
        main(["--smoke", "--only", "selector", "--out", str(out), "--checkpoints", str(tmp_path / f"of {name}")])
        built.append(
            {
                (reads, file.name): file.read_bytes()
                for reads in (PRE, POST)
                for file in (out / f"selector_{reads}").iterdir()
            }
        )
        for reads in (PRE, POST):
            record = json.loads((out / f"selector_{reads}" / "selector.json").read_text(encoding="utf-8"))
            assert (record["reads"], [member["retriever"] for member in record["pool"]]) == (reads, list(POOL))
            assert load_selector(out / f"selector_{reads}").model.config.num_labels == 1
    assert built[0] == built[1]
