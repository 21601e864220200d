"""What the entries of a prompt have in common, read off the prompts that Lamppost itself builds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from lamp.catalogue import get_task
from lamp.selector_texts import SelectorText
from lamp.synthetic.population import people
from retrieval_app.prompts import build_prompt
from retrieval_app.selection import POST, PRE, selector_text
from workers.small_models import SMALL_T5
from workers.small_models.samples import TASKS
from workers.small_models.selector_entries import compared, entries_of

PRE_FEATURES, POST_FEATURES = 23, 33
TITLES = {
    "alike": ("Notes: red roofs or green", "Notes: blue walls or green"),
    "unlike": ("Notes: red roofs or green", "A word on blue walls today"),
}


def titled(*pairs, article):
    entries = " , and ".join(f'"{title}" is the title for "{text}"' for title, text in pairs)
    return f"{entries} . Generate a headline for the following article: {article}".lower()


def of_titles(kind):
    first, second = TITLES[kind]
    prompt = titled((first, "Red roofs burn"), (second, "Blue walls fell"), article="The walls of blue stone")
    return dict(zip(NAMES, compared("LaMP-4", SelectorText(prompt, None)), strict=False))


NAMES = (
    "entries",
    "nearness",
    "most_near",
    "as_near",
    "near",
    "first_near",
    "last_near",
    "likeness",
    "openings",
    "closings",
)


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(SMALL_T5)


@pytest.mark.parametrize("task_key", TASKS)
def test_every_document_of_a_prompt_is_found_in_it(task_key, tokenizer):
    [person] = people(task_key, users=[1], seed=1, strength=1.0, drift=0.0)
    documents = [written.fields for written in person.documents[:4]]
    question = person.questions[0].input
    prompt = build_prompt(get_task(task_key), question, documents, tokenizer=tokenizer)
    read = entries_of(task_key, selector_text(reads=PRE, prompt=prompt, output=None).text)
    assert len(read.entries) == len(documents)
    for entry, fields in zip(read.entries, documents, strict=True):
        held = {value.lower() for value in fields.values()}
        assert {part for part in (entry.text, entry.output) if part} <= held
        start, end = entry.span
        assert entry.text in prompt.lower()[start:end]
    assert question.lower().endswith(read.question)
    assert len(compared(task_key, selector_text(reads=PRE, prompt=prompt, output=None))) == PRE_FEATURES
    assert len(compared(task_key, selector_text(reads=POST, prompt=prompt, output="x"))) == POST_FEATURES


@pytest.mark.parametrize("task_key", TASKS)
def test_a_question_by_itself_has_no_entries(task_key):
    [person] = people(task_key, users=[1], seed=1, strength=1.0, drift=0.0)
    assert entries_of(task_key, person.questions[0].input.lower()).entries == ()


def test_titles_in_one_manner_are_told_from_others():
    alike, unlike = of_titles("alike"), of_titles("unlike")
    assert (alike["openings"], alike["closings"]) == (1.0, 1.0)
    assert (unlike["openings"], unlike["closings"]) == (0.0, 0.0)
    assert alike["likeness"] > unlike["likeness"]


def test_entries_about_the_question_are_near_to_it():
    found = of_titles("alike")
    assert found["entries"] == 0.5
    assert found["first_near"] == 0.0
    assert found["last_near"] == found["most_near"] == pytest.approx(1 / 2)  # of walls and stone


def test_an_output_in_the_entries_manner_is_told_from_another():
    prompt = titled(*[(title, "roofs") for title in TITLES["alike"]], article="stone")
    like, unlike = (
        compared("LaMP-4", SelectorText(prompt, output))[PRE_FEATURES:]
        for output in ("Notes: stone or green", "Stone falls")
    )
    assert like[0] > unlike[0]
    assert (like[1], like[2]) == (1.0, 1.0)
    assert (unlike[1], unlike[2]) == (0.0, 0.0)


@given(task_key=st.sampled_from(TASKS), prompt=st.text(max_size=200), output=st.none() | st.text(max_size=40))
def test_whatever_the_text_there_are_as_many_finite_features(task_key, prompt, output):
    found = compared(task_key, SelectorText(prompt, output))
    assert len(found) == (PRE_FEATURES if output is None else POST_FEATURES)
    assert all(0 <= value <= 20 for value in found)
