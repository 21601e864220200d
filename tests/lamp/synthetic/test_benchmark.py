import json
from itertools import pairwise

import pytest

from lamp.catalogue import get_task
from lamp.dates import date_key
from lamp.metrics import evaluate
from lamp.queries import query_of
from lamp.reading import read_questions, recognise_separation, recognise_task
from lamp.synthetic import DEFAULT_DRIFT, DEFAULT_STRENGTH, SYNTHETIC_TASKS, TRAINING_SEEDS, generate

SPLITS = ("train", "dev", "test")
USERS = 20


@pytest.fixture(scope="module")
def benchmark_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("benchmark")
    generate(folder, users=USERS, seed=11)
    return folder


def load(folder, task_key, name):
    return json.loads((folder / task_key.replace("-", "_") / name).read_text(encoding="utf-8"))


def every_file(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_arguments_write_the_same_bytes(tmp_path, benchmark_folder):
    generate(tmp_path, users=USERS, seed=11)
    assert every_file(tmp_path) == every_file(benchmark_folder)


def test_another_seed_writes_others(tmp_path, benchmark_folder):
    generate(tmp_path, users=USERS, seed=12)
    before, after = every_file(benchmark_folder), every_file(tmp_path)
    assert before.keys() == after.keys()
    assert all(before[name] != after[name] for name in before)


def test_every_task_has_questions_and_outputs_of_three_splits_the_truth_and_nothing_else(benchmark_folder):
    names = ["truth.json", *(f"{split}_{kind}.json" for split in SPLITS for kind in ("questions", "outputs"))]
    expected = {f"LaMP_{number}/{name}" for number in range(1, 8) for name in names}
    assert every_file(benchmark_folder).keys() == expected


def test_only_the_tasks_asked_for_are_written(tmp_path):
    counts = generate(tmp_path, users=2, seed=1, tasks=["LaMP-3"])
    assert [folder.name for folder in tmp_path.iterdir()] == ["LaMP_3"]
    assert counts.keys() == {"LaMP-3"}
    assert counts["LaMP-3"]["dev"] == len(load(tmp_path, "LaMP-3", "dev_questions.json"))


@pytest.mark.parametrize("task_key", SYNTHETIC_TASKS)
@pytest.mark.parametrize("split", SPLITS)
def test_the_reader_takes_the_files_as_lamps(benchmark_folder, task_key, split):
    path = benchmark_folder / task_key.replace("-", "_") / f"{split}_questions.json"
    assert recognise_task(path).key == task_key
    assert recognise_separation(path) == "time"
    questions = list(read_questions(path, task=get_task(task_key), separation="time"))
    assert questions
    for question in questions:
        assert query_of(get_task(task_key), question.input)
        for entry in question.profile:
            assert set(entry.fields) == {*get_task(task_key).fields, "date"}
            assert date_key(entry.fields["date"])


@pytest.mark.parametrize("task_key", SYNTHETIC_TASKS)
@pytest.mark.parametrize("split", SPLITS)
def test_golds_answer_the_questions_in_the_tasks_form(benchmark_folder, task_key, split):
    task = get_task(task_key)
    questions = load(benchmark_folder, task_key, f"{split}_questions.json")
    outputs = load(benchmark_folder, task_key, f"{split}_outputs.json")
    assert outputs["task"] == task_key.replace("-", "_")
    assert [gold["id"] for gold in outputs["golds"]] == [question["id"] for question in questions]
    for gold in outputs["golds"]:
        assert gold["output"] in task.labels if task.labels else 3 <= len(gold["output"].split()) <= 40


@pytest.mark.parametrize("task_key", SYNTHETIC_TASKS)
def test_question_ids_are_unique_over_the_splits_and_users_span_them(benchmark_folder, task_key):
    items = {split: load(benchmark_folder, task_key, f"{split}_questions.json") for split in SPLITS}
    ids = [question["id"] for split in SPLITS for question in items[split]]
    assert len(set(ids)) == len(ids)
    users = {split: {question["user_id"] for question in items[split]} for split in SPLITS}
    assert users["dev"] == set(range(1, USERS + 1))
    assert users["train"] & users["dev"] & users["test"]


def test_a_later_question_of_a_user_sees_what_an_earlier_one_saw(benchmark_folder):
    snapshots = {}
    for split in SPLITS:
        for question in load(benchmark_folder, "LaMP-7", f"{split}_questions.json"):
            snapshots.setdefault(question["user_id"], []).append({entry["id"] for entry in question["profile"]})
    grown = [earlier < later for own in snapshots.values() for earlier, later in pairwise(own)]
    assert all(earlier <= later for own in snapshots.values() for earlier, later in pairwise(own))
    assert any(grown)


@pytest.mark.parametrize("task_key", SYNTHETIC_TASKS)
def test_the_truth_holds_every_users_traits_and_how_the_benchmark_was_made(benchmark_folder, task_key):
    truth = load(benchmark_folder, task_key, "truth.json")
    made_with = {"task": task_key.replace("-", "_"), "seed": 11, "strength": DEFAULT_STRENGTH, "drift": DEFAULT_DRIFT}
    assert {name: truth[name] for name in made_with} == made_with
    assert [user["user_id"] for user in truth["users"]] == list(range(1, USERS + 1))
    for user in truth["users"]:
        assert user["early"].keys() == user["late"].keys()
        assert date_key(user["change"])


def test_the_truth_of_one_with_manners_side_by_side_holds_each_of_them(tmp_path):
    generate(tmp_path, users=8, seed=11, tasks=["LaMP-6"], manners=1.0)
    truth = load(tmp_path, "LaMP-6", "truth.json")
    assert truth["manners"] == 1.0
    several = [user["voices"] for user in truth["users"] if "voices" in user]
    assert {len(voices) for voices in several} == {3}
    assert len(several) < len(truth["users"])


@pytest.mark.parametrize("task_key", SYNTHETIC_TASKS)
def test_the_truth_says_what_an_oracle_answers_and_how_well_it_does(benchmark_folder, task_key):
    oracle = load(benchmark_folder, task_key, "truth.json")["oracle"]
    assert oracle.keys() == set(SPLITS)
    for split, answered in oracle.items():
        golds = {
            gold["id"]: gold["output"] for gold in load(benchmark_folder, task_key, f"{split}_outputs.json")["golds"]
        }
        answers = {answer["id"]: answer["output"] for answer in answered["answers"]}
        assert answered["scores"] == pytest.approx(evaluate(get_task(task_key), answers, golds))


def test_scholarly_dates_are_years_in_order_and_others_are_days_in_none(benchmark_folder):
    for question in load(benchmark_folder, "LaMP-5", "dev_questions.json"):
        years = [entry["date"] for entry in question["profile"]]
        assert all(len(year) == 4 for year in years)
        assert years == sorted(years)
    orders = [
        [entry["date"] for entry in question["profile"]]
        for question in load(benchmark_folder, "LaMP-4", "dev_questions.json")
    ]
    assert any(order not in (sorted(order), sorted(order, reverse=True)) for order in orders)


def test_the_small_models_training_users_are_refused(tmp_path):
    with pytest.raises(ValueError, match="small models"):
        generate(tmp_path, users=1, seed=TRAINING_SEEDS.start)
    assert list(tmp_path.iterdir()) == []


def test_a_benchmark_has_a_user(tmp_path):
    with pytest.raises(ValueError, match="at least one user"):
        generate(tmp_path, users=0, seed=1)


def test_an_unknown_task_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match="LaMP-2N"):
        generate(tmp_path, users=1, seed=1, tasks=["LaMP-1", "LaMP-2N"])
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_could_not_be_finished_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="strength"):
        generate(tmp_path, users=1, seed=1, tasks=["LaMP-1"], strength=2.0)
    assert every_file(tmp_path) == {}
