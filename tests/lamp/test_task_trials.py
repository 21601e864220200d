"""A task is tried on made-up values before anyone relies on it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamp.catalogue import CATALOGUE
from lamp.task_definitions import InvalidDefinition, own_task_from
from lamp.task_trials import trial_problems
from retrieval_app.prompts import build_prompt
from tests.lamp.own_tasks import MOODS, REPLIES, STARS, changed
from tests.retrieval_app.words import Words


@pytest.mark.parametrize("key", CATALOGUE)
def test_the_catalogues_tasks_pass(key):
    assert trial_problems(CATALOGUE[key]) == []


@pytest.mark.parametrize(
    ("definition", "pointer", "message"),
    [
        (
            changed(REPLIES, "/query/marker", "article:"),
            "/query",
            "looks for words that the input does not have",
        ),
        (
            changed(REPLIES, "/query", {"form": "two-quoted", "opening": "question:", "middle": "and"}),
            "/query",
            "looks for words that the input does not have",
        ),
        (
            changed(REPLIES, "/input", "To {question} reply to the question: now"),
            "/query",
            "holds no field of the input, so that it would always be the same",
        ),
        (changed(MOODS, "/prompt/word", "pages"), "/prompt/word", "is no word of the input"),
        (
            changed(REPLIES, "/entry/fixed", 1),
            "/entry/fixed",
            "counts 1 words and signs, where an entry has 8 beside its fields",
        ),
        (
            changed(REPLIES, "/prompt/reserved", 1),
            "/prompt/reserved_for",
            "counts 1 words and signs, where the prompt has 5 beside entries and input",
        ),
    ],
)
def test_what_goes_wrong_is_said(definition, pointer, message):
    with pytest.raises(InvalidDefinition) as refused:
        own_task_from(definition)
    assert [(problem.pointer, problem.message) for problem in refused.value.problems] == [(pointer, message)]


LITERALS = st.text(alphabet="ab .,:{}\n\"'é", max_size=60).map(lambda text: text.replace("{", "{{").replace("}", "}}"))


@settings(deadline=None, derandomize=True, max_examples=200)
@given(
    definition=st.sampled_from([REPLIES, STARS]),
    texts=st.tuples(*[LITERALS] * 8),
    count=st.integers(min_value=1, max_value=8),
    long=st.booleans(),
)
def test_prompts_of_an_accepted_task_keep_their_entries_and_the_input(definition, texts, count, long):
    a, b, c, d, e, f, g, h = texts
    fields = definition["fields"]
    own = {
        **definition,
        "input": f"{a}ask:{{{fields[0]}}}{b}",
        "query": {"form": "after", "marker": "ask:"},
        "entry": {"template": f"{c}{{{fields[0]}}} {d} {{{fields[1]}}}{e}", "cut": fields[0]},
        "prompt": {"form": "around", "template": f"{f} {{entries}} {g} {{input}} {h}"},
    }
    task = own_task_from(own)
    words = "word " * (400 if long else 5)
    documents = [{fields[0]: f"begin{number} {words}", fields[1]: str(number % 4)} for number in range(count)]
    question = task.input.fill({fields[0]: "what"})
    prompt = build_prompt(task, question, documents, tokenizer=Words(), max_input_tokens=512)
    assert question in prompt
    assert all(f"begin{number}" in prompt for number in range(count))
    assert len(Words().encode(prompt)) <= 512
