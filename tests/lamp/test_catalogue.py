"""The catalogue says of each task what the LaMP reference says."""

import dataclasses
from decimal import Decimal

import pytest

from lamp.catalogue import CATALOGUE, LAMP_2, LAMP_3, LAMP_4, UnknownTask, get_task
from lamp.tasks import After, Entry, InvalidTask, Task
from lamp.templates import Template
from tests.lamp.golden_files import KEYS


def test_it_holds_the_eight_tasks_and_each_has_a_golden_file():
    assert set(CATALOGUE) == {"LaMP-1", "LaMP-2", "LaMP-2N", "LaMP-3", "LaMP-4", "LaMP-5", "LaMP-6", "LaMP-7"}
    assert set(KEYS) == set(CATALOGUE)


@pytest.mark.parametrize("spelling", ["LaMP-4", "LaMP_4", "lamp_4", "lamp-4", " LAMP-4 "])
def test_a_task_is_found_in_any_spelling(spelling):
    assert get_task(spelling) is LAMP_4


def test_the_news_version_is_a_task_of_its_own():
    assert get_task("LaMP_2N").key == "LaMP-2N"
    assert get_task("LaMP_2").key == "LaMP-2"


@pytest.mark.parametrize("key", ["", "LaMP", "LaMP-8", "LaMP4", "4"])
def test_an_unknown_task_is_refused_with_the_known_ones(key):
    with pytest.raises(UnknownTask, match="LaMP-7"):
        get_task(key)


@pytest.mark.parametrize(
    ("key", "fields", "metrics", "labels"),
    [
        ("LaMP-1", {"title", "abstract"}, ["accuracy"], 2),
        ("LaMP-2", {"description", "tag"}, ["accuracy", "f1"], 15),
        ("LaMP-2N", {"text", "title", "category"}, ["accuracy", "f1"], 15),
        ("LaMP-3", {"text", "score"}, ["MAE", "RMSE"], 5),
        ("LaMP-4", {"text", "title"}, ["rouge-1", "rouge-L"], 0),
        ("LaMP-5", {"title", "abstract"}, ["rouge-1", "rouge-L"], 0),
        ("LaMP-6", {"text", "title"}, ["rouge-1", "rouge-L"], 0),
        ("LaMP-7", {"text"}, ["rouge-1", "rouge-L"], 0),
    ],
)
def test_fields_metrics_and_labels(key, fields, metrics, labels):
    task = CATALOGUE[key]
    assert set(task.fields) == fields
    assert [metric.name for metric in task.metrics] == metrics
    assert len(task.labels or ()) == labels


def test_only_errors_are_better_when_lower():
    directions = {metric.name: metric.higher_is_better for task in CATALOGUE.values() for metric in task.metrics}
    assert {name for name, higher in directions.items() if not higher} == {"MAE", "RMSE"}


def test_the_variable_fields():
    cut = {key: task.variable_field for key, task in CATALOGUE.items()}
    assert cut == {
        "LaMP-1": "title",
        "LaMP-2": "description",
        "LaMP-2N": "text",
        "LaMP-3": "text",
        "LaMP-4": "text",
        "LaMP-5": "abstract",
        "LaMP-6": "text",
        "LaMP-7": "text",
    }


def test_a_version_names_the_whole_entry():
    versions = {task.version for task in CATALOGUE.values()}
    assert len(versions) == len(CATALOGUE)
    assert dataclasses.replace(LAMP_4).version == LAMP_4.version
    assert dataclasses.replace(LAMP_4, query=After("article: ")).version != LAMP_4.version
    assert dataclasses.replace(LAMP_4, document=Template("{text}")).version != LAMP_4.version


def test_the_versions_stay_what_they_are():
    """Adapters are named by the version: an entry that changes makes every adapter of its task train again."""
    assert {key: task.version[:12] for key, task in CATALOGUE.items()} == {
        "LaMP-1": "ea7f83ea2515",
        "LaMP-2": "63cf23ab6248",
        "LaMP-2N": "db7ee0adeca1",
        "LaMP-3": "3ef3d61277d3",
        "LaMP-4": "6c68fe812836",
        "LaMP-5": "2e8ce50a3a71",
        "LaMP-6": "45cd3b9449e1",
        "LaMP-7": "56d054f6bd2e",
    }


@pytest.mark.parametrize(
    "change",
    [
        {"document": Template("{abstract}")},
        {"entry": Entry(Template("{title}"), cut="text", fixed=1)},
        {"entry": Entry(Template("{text}"), cut="text", fixed=Template("{text}"))},
        {"prompt": dataclasses.replace(LAMP_4.prompt, template=Template("{entries}"))},
        {"prompt": dataclasses.replace(LAMP_4.prompt, template=Template("{input}"))},
        {"metrics": ()},
    ],
)
def test_an_entry_that_contradicts_itself_is_refused(change):
    with pytest.raises(InvalidTask, match="LaMP-4"):
        dataclasses.replace(LAMP_4, **change)


def test_a_classification_needs_labels_and_a_rating_its_scale():
    with pytest.raises(InvalidTask, match="labels"):
        dataclasses.replace(LAMP_2, labels=None)
    with pytest.raises(InvalidTask, match="scale"):
        dataclasses.replace(LAMP_3, rating=None)


def problems(task: Task, values: dict) -> list[str]:
    return [f"{problem.field} {problem.message}" for problem in task.field_problems(values)]


def test_a_profile_entry_has_every_field_as_text():
    assert problems(LAMP_4, {"text": "a", "title": ""}) == []
    assert problems(LAMP_4, {"text": "a"}) == ["title is missing"]
    assert problems(LAMP_4, {"text": None, "title": 5}) == ["text is null, not a text", "title is a number, not a text"]
    assert problems(LAMP_4, {"text": ["a"], "title": {}}) == [
        "text is a list, not a text",
        "title is an object, not a text",
    ]


@pytest.mark.parametrize("score", [1, 5, "1", "5", " 3 ", "2.0", 4.5, Decimal("4.5")])
def test_a_score_is_a_number_on_the_scale(score):
    assert problems(LAMP_3, {"text": "a", "score": score}) == []


@pytest.mark.parametrize(
    "score", [0, 6, "0", "5.1", "", "five", "nan", "inf", "1e0", "0_3", "٣", "1" * 5000, None, True, [5], float("nan")]
)
def test_what_is_no_number_on_the_scale_is_refused_without_repeating_it(score):
    assert problems(LAMP_3, {"text": "a", "score": score}) == ["score is no number from 1 to 5"]
