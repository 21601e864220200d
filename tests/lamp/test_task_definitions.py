"""A task can be written as JSON and read back; whatever is wrong with a definition is said, with its place."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamp.catalogue import CATALOGUE
from lamp.definition_parts import MOST_PROBLEMS
from lamp.task_definitions import InvalidDefinition, definition_of, own_key_problems, own_task_from, task_from
from lamp.tasks import Around, Entry, Kind, Pair
from lamp.templates import Template
from tests.lamp.own_tasks import MOODS, REPLIES, STARS, changed

OWN = [REPLIES, MOODS, STARS]


def problems_of(definition):
    """Where something is wrong → what."""
    with pytest.raises(InvalidDefinition) as refused:
        own_task_from(definition)
    assert all(problem.remedy for problem in refused.value.problems)
    return {problem.pointer: problem.message for problem in refused.value.problems}


@pytest.mark.parametrize("key", CATALOGUE)
def test_each_task_of_the_catalogue_can_be_written_and_read_back(key):
    task = CATALOGUE[key]
    read = task_from(json.loads(json.dumps(definition_of(task))))
    assert read == task
    assert read.version == task.version


@pytest.mark.parametrize("definition", OWN, ids=lambda definition: definition["key"])
def test_a_task_of_ones_own_is_read_back_as_it_was_made(definition):
    task = own_task_from(definition)
    read = task_from(json.loads(json.dumps(definition_of(task))))
    assert read == task
    assert read.version == task.version


def test_what_is_left_out_is_counted_from_the_templates():
    task = own_task_from(REPLIES)
    assert task.kind is Kind.GENERATION
    assert task.entry == Entry(
        Template('to "{question}" the reply was "{reply}" '),
        cut="question",
        fixed=Template('to "" the reply was "{reply}" '),
    )
    assert task.prompt == Around(
        Template("{entries}. Write as before. {input}"), reserved=0, reserved_for=". Write as before."
    )
    assert isinstance(task.pair, Pair)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("title", "is null, not a text"),
        ("labels", "is no list of 2 to 500 texts"),
        ("pair", "is null, not an object"),
        ("fields", "is no list of 1 to 20 texts"),
    ],
)
def test_null_is_no_part(part, message):
    assert problems_of({**MOODS, part: None})[f"/{part}"] == message


def test_any_change_of_what_is_said_makes_another_version():
    versions = {
        own_task_from(changed(REPLIES, pointer, value)).version
        for pointer, value in [
            ("/title", "Answers"),
            ("/key", "answers"),
            ("/metrics", ["rouge-L"]),
            ("/query/marker", ":"),
            ("/pair/output", "{reply}!"),
            ("/prompt/reserved_for", "as before"),
        ]
    }
    assert len(versions) == 6
    assert own_task_from(REPLIES).version not in versions


@pytest.mark.parametrize("key", ["replies", "a", "my-task-2", "a" * 60])
def test_keys_of_ones_own(key):
    assert own_task_from({**REPLIES, "key": key}).key == key


@pytest.mark.parametrize("key", ["Replies", "2replies", "-a", "a_b", "a b", "größe", "a/b", "a" * 61, "a\n", "ａ"])
def test_keys_that_are_none(key):
    assert set(problems_of({**REPLIES, "key": key})) == {"/key"}


@pytest.mark.parametrize("key", [spelt for key in CATALOGUE for spelt in (key, key.lower(), key.upper())])
def test_no_key_of_ones_own_can_be_taken_for_the_catalogues(key):
    assert own_key_problems(key)
    assert own_key_problems(key.replace("-", "_"))


@pytest.mark.parametrize(
    "part", ["key", "title", "kind", "fields", "input", "query", "document", "entry", "prompt", "metrics"]
)
def test_a_missing_part_is_named(part):
    assert problems_of(changed(REPLIES, f"/{part}", None)) == {f"/{part}": "is missing"}


@pytest.mark.parametrize(
    ("definition", "pointer", "value", "message"),
    [
        (REPLIES, "/title", 5, "is a number, not a text"),
        (REPLIES, "/title", " ", "is empty"),
        (REPLIES, "/title", "a\nb", "holds control characters or half a character"),
        (REPLIES, "/title", "a\0b", "holds control characters or half a character"),
        (REPLIES, "/title", "a\ud800", "holds control characters or half a character"),
        (REPLIES, "/title", "a" * 201, "is longer than 200 characters"),
        (REPLIES, "/kind", "poem", "is none of: classification, rating, generation"),
        (REPLIES, "/kind", ["generation"], "is none of: classification, rating, generation"),
        (REPLIES, "/fields", "question", "is no list of 1 to 20 texts"),
        (REPLIES, "/fields", [], "is no list of 1 to 20 texts"),
        (REPLIES, "/fields/1", 7, "is a number, not a text"),
        (REPLIES, "/fields/1", "question", "stands here twice"),
        (REPLIES, "/fields/1", "the reply", "cannot be named in a template"),
        (REPLIES, "/fields/1", "date", "is a name that every document has"),
        (REPLIES, "/input", "Say something", "names no field, so that it would always be the same"),
        (REPLIES, "/input", "question: {" + "a" * 41 + "}", f"names {'a' * 39}…, which is too long"),
        (REPLIES, "/input", "question:" + "".join(f"{{a{n}}}" for n in range(21)), "names more than 20 fields"),
        (REPLIES, "/input", "question: {a}" + "a" * 4000, "is longer than 4,000 characters"),
        (REPLIES, "/query", "after", "is a text, not an object"),
        (REPLIES, "/query/form", "regex", "is none of: after, two-quoted, whole"),
        (REPLIES, "/query/marker", None, "is missing"),
        (REPLIES, "/query/regex", ".*", "is no part of a task here"),
        (REPLIES, "/document", "{answer}", "names answer, which is none of: question, reply"),
        (REPLIES, "/document", "{question", "has a single '{' at character 1"),
        (REPLIES, "/document", "{question.__class__}", "has a single '{' at character 1"),
        (REPLIES, "/document", "{question!r:>9}", "has a single '{' at character 1"),
        (REPLIES, "/document", "{reply} {reply}", "names reply more than once"),
        (REPLIES, "/document", "the document", "names no field, so that it would always be the same"),
        (REPLIES, "/entry", [], "is a list, not an object"),
        (REPLIES, "/entry/cut", "answer", "is none of the fields"),
        (REPLIES, "/entry/template", "{reply}", "does not hold {question}, which would be lost"),
        (REPLIES, "/entry/fixed", "{question}", "names question, which is none of: reply"),
        (REPLIES, "/entry/fixed", -1, "is no whole number from 0 to 500"),
        (REPLIES, "/entry/fixed", True, "is no whole number from 0 to 500"),
        (REPLIES, "/prompt/template", "{entries}", "does not hold {input}, which would be lost"),
        (REPLIES, "/prompt/template", "{input}", "does not hold {entries}, which would be lost"),
        (REPLIES, "/prompt/template", "{entries} {input} {reply}", "names reply, which is none of: entries, input"),
        (REPLIES, "/prompt/reserved", 101, "is no whole number from 0 to 100"),
        (REPLIES, "/prompt/word", "a", "is no part of a task here"),
        (REPLIES, "/pair/output", "yes", "names no field, so that it would always be the same"),
        (REPLIES, "/pair/output", None, "is missing"),
        (REPLIES, "/completion", {"text": "{reply}", "input": "{first}"}, "stands beside a pair"),
        (REPLIES, "/labels", ["a", "b"], "belongs to tasks that choose an answer"),
        (
            REPLIES,
            "/rating",
            {"field": "reply", "lowest": 1, "highest": 2},
            "belongs to tasks of the kind rating",
        ),
        (REPLIES, "/metrics/0", "accuracy", "is no metric of tasks of the kind generation"),
        (REPLIES, "/metrics", [], "is no list of 1 to 2 texts"),
        (REPLIES, "/code", "print(1)", "is no part of a task here"),
        (MOODS, "/labels", None, "is missing"),
        (MOODS, "/labels", ["calm"], "is no list of 2 to 500 texts"),
        (MOODS, "/labels/1", "calm", "stands here twice"),
        (MOODS, "/labels/1", " cross", "has blanks around it"),
        (MOODS, "/prompt/word", "two words", "is not one word"),
        (MOODS, "/prompt/word", "(", "is not one word"),
        (STARS, "/rating", None, "is missing"),
        (STARS, "/rating/field", "star", "is none of the fields"),
        (STARS, "/rating/highest", 0, "is not above the lowest"),
        (STARS, "/rating/lowest", 0.5, "is no whole number from 0 to 1,000,000"),
        (STARS, "/labels/3", "4", "is no number from 0 to 3"),
        (STARS, "/completion/input", "Go on", "does not hold {first}, which would be lost"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(definition, pointer, value, message):
    assert problems_of(changed(definition, pointer, value)) == {pointer: message}


def test_everything_that_is_wrong_is_said_at_once():
    wrong = changed(changed(changed(REPLIES, "/title", 5), "/document", "{x}"), "/key", "LaMP-4")
    assert set(problems_of(wrong)) == {"/title", "/document", "/key"}


@pytest.mark.parametrize("definition", [None, [], "task", 5, True])
def test_only_an_object_is_a_definition(definition):
    assert set(problems_of(definition)) == {""}


def test_names_in_problems_are_short_and_pointers_escaped():
    assert list(problems_of({**REPLIES, "a/b~" + "c" * 100: 1})) == ["/a~1b~0" + "c" * 35 + "…"]


def test_problems_are_bounded():
    many = {**REPLIES, **{f"x{number}": 1 for number in range(10_000)}}
    assert len(problems_of(many)) == MOST_PROBLEMS


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
POINTERS = [
    f"/{name}" + (f"/{inner}" if inner is not None else "")
    for name, value in REPLIES.items()
    for inner in [None, *(value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else [])]
]


@settings(deadline=None, derandomize=True, max_examples=300)
@given(st.sampled_from(POINTERS), JSON)
def test_whatever_stands_anywhere_is_read_or_refused(pointer, value):
    definition = changed(REPLIES, pointer, value)
    try:
        task = own_task_from(definition)
    except InvalidDefinition:
        return
    assert task_from(definition_of(task)).version == task.version
