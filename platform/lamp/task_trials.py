"""A trial of a task before anyone relies on it: everything that is made of a task, made of made-up values."""

import re
from collections.abc import Iterable
from typing import Final

from lamp.definition_parts import DefinitionProblem
from lamp.pairs import pair_of
from lamp.queries import MissingMarker, document_text, end_of_word, input_of, query_of
from lamp.tasks import Around, InsertedAfter, Task

# Signs that no one writes: what is found of them in a text comes from a value.
_FIRST_SAMPLE: Final = 0xE000
# How far what is counted may fall behind what is written: the published tasks do by as much as two words.
_SLACK: Final = 3
_WORD_OR_SIGN: Final = re.compile(r"\w+|[^\w\s]")


def trial_problems(task: Task) -> list[DefinitionProblem]:
    """What goes wrong when inputs, queries, prompts and training pairs are made of `task`."""
    values = _samples(task.input.fields)
    input_text = input_of(task, values)
    document = _samples(task.fields)
    document_text(task, document)
    pair_of(task, document)
    return [
        *_query_problems(task, input_text, values.values()),
        *_place_problems(task, input_text),
        *_budget_problems(task),
    ]


def _samples(names: Iterable[str]) -> dict[str, str]:
    return {name: chr(_FIRST_SAMPLE + number) for number, name in enumerate(dict.fromkeys(names))}


def _query_problems(task: Task, input_text: str, values: Iterable[str]) -> list[DefinitionProblem]:
    try:
        query = query_of(task, input_text)
    except MissingMarker:
        remedy = "Write it into the input, before the field that is asked for."
        return [DefinitionProblem("/query", "looks for words that the input does not have", remedy)]
    if not any(value in query for value in values):
        remedy = "Let the query begin before a field of the input."
        return [DefinitionProblem("/query", "holds no field of the input, so that it would always be the same", remedy)]
    return []


def _place_problems(task: Task, input_text: str) -> list[DefinitionProblem]:
    match task.prompt:
        case InsertedAfter(word=word):
            try:
                end_of_word(task, input_text, word)
            except MissingMarker:
                remedy = "Name a word of the input, after which the entries are to stand."
                return [DefinitionProblem("/prompt/word", "is no word of the input", remedy)]
        case Around():
            pass
    return []


def _budget_problems(task: Task) -> list[DefinitionProblem]:
    """Where less is counted than is written, prompts outgrow the model, and the end of the input is lost."""
    problems = []
    entry, prompt = task.entry, task.prompt
    written = _words(entry.template.literals)
    counted = entry.fixed if isinstance(entry.fixed, int) else _words(entry.fixed.literals)
    if counted + _SLACK < written:
        remedy = "Leave it out, and the entry's own words are counted."
        message = f"counts {counted} words and signs, where an entry has {written} beside its fields"
        problems.append(DefinitionProblem("/entry/fixed", message, remedy))
    written = _words(prompt.template.literals)
    counted = prompt.reserved + _words([prompt.reserved_for])
    if counted + _SLACK < written:
        remedy = "Leave out reserved and reserved_for, and the prompt's own words are counted."
        message = f"counts {counted} words and signs, where the prompt has {written} beside entries and input"
        problems.append(DefinitionProblem("/prompt/reserved_for", message, remedy))
    return problems


def _words(texts: Iterable[str]) -> int:
    """How many words and signs these are: a tokenizer makes about as many tokens of them, or more."""
    return sum(len(_WORD_OR_SIGN.findall(text)) for text in texts)
