"""φ_p: retrieved documents are put into the input, within a token budget (Table 3, appendix B; LaMP reference §4)."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from lamp.queries import end_of_word
from lamp.tasks import Around, InsertedAfter, Task
from lamp.templates import Template, field_text

JOINT = ", and "
"""What stands between two entries."""
JOINT_TOKENS = 2

INPUT_TENTHS = range(6, -1, -1)
"""The tenths of the budget that the input may claim, in the order in which they are tried."""

Fields = Mapping[str, Any]


class Tokenizer(Protocol):
    """What is needed of a model's tokenizer; those of `transformers` have it."""

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]: ...

    def decode(self, token_ids: list[int], skip_special_tokens: bool = False) -> str: ...


class DoesNotFit(ValueError):
    """An entry can't keep even its fixed words and the end token within its share of the budget."""


def build_prompt(
    task: Task,
    input_text: str,
    documents: Sequence[Fields],
    *,
    tokenizer: Tokenizer,
    max_input_tokens: int = 512,
) -> str:
    """The whole prompt of `task`: `documents` (their fields, best first) as entries, and the input.

    The input may claim six tenths of `max_input_tokens`, or five, four ... none where the entries don't fit otherwise;
    where they don't fit even then, and where there are no documents, the prompt is the plain input.
    Raises `MissingMarker` where the input lacks the place at which the task has its entries.
    """
    if not documents:
        return input_text
    entries = [_measured(task, document, tokenizer) for document in documents]
    overhead = _overhead(task, len(entries), tokenizer)
    input_tokens = len(tokenizer.encode(input_text))
    for tenths in INPUT_TENTHS:
        # Whole numbers: `int(0.6 * L)` as it would be without rounding of floats.
        room = max_input_tokens - min(input_tokens, tenths * max_input_tokens // 10)
        try:
            texts = _fitted(task, entries, room=room, overhead=overhead, tokenizer=tokenizer)
        except DoesNotFit:
            continue
        return _whole(task, input_text, JOINT.join(texts))
    return input_text


def budget_entries(task: Task, documents: Sequence[Fields], *, room: int, tokenizer: Tokenizer) -> list[str]:
    """Cut each document's variable field so that all entries fit into `room` tokens, the prompt's own words included.

    Every entry has the same share; what one leaves unused passes on to the next. Raises `DoesNotFit`.
    """
    if not documents:
        return []
    entries = [_measured(task, document, tokenizer) for document in documents]
    overhead = _overhead(task, len(entries), tokenizer)
    return _fitted(task, entries, room=room, overhead=overhead, tokenizer=tokenizer)


class _Measured(NamedTuple):
    """A document's fields, how many tokens its entry has without the variable text, and that text's tokens."""

    fields: Fields
    fixed: int
    tokens: list[int]
    """Without the end token."""


def _measured(task: Task, document: Fields, tokenizer: Tokenizer) -> _Measured:
    fixed = task.entry.fixed
    return _Measured(
        fields=document,
        fixed=len(tokenizer.encode(fixed.fill(document))) if isinstance(fixed, Template) else fixed,
        tokens=tokenizer.encode(field_text(document, task.entry.cut), add_special_tokens=False),
    )


def _end_tokens(tokenizer: Tokenizer) -> int:
    """How many tokens the tokenizer adds to a text: 1, the end token, with every T5."""
    return len(tokenizer.encode("a")) - len(tokenizer.encode("a", add_special_tokens=False))


def _overhead(task: Task, entries: int, tokenizer: Tokenizer) -> int:
    """Tokens that the prompt takes beside entries and input."""
    phrase = task.prompt.reserved_for
    return task.prompt.reserved + JOINT_TOKENS * (entries - 1) + (len(tokenizer.encode(phrase)) if phrase else 0)


def _fitted(task: Task, entries: Sequence[_Measured], *, room: int, overhead: int, tokenizer: Tokenizer) -> list[str]:
    share = (room - overhead) // len(entries)
    end = _end_tokens(tokenizer)
    saved = 0
    texts = []
    for entry in entries:
        allowed = share + saved - entry.fixed
        if allowed < max(end, 1):
            raise DoesNotFit(f"an entry of {task.key} has {allowed} tokens left for its {task.entry.cut}")
        tokens = entry.tokens[: allowed - end]
        saved += share - (len(tokens) + end) - entry.fixed
        text = tokenizer.decode(tokens, skip_special_tokens=True)
        texts.append(task.entry.template.fill({**entry.fields, task.entry.cut: text}))
    return texts


def _whole(task: Task, input_text: str, entries: str) -> str:
    match task.prompt:
        case Around(template=template):
            return template.fill({"entries": entries, "input": input_text})
        case InsertedAfter(word=word, template=template):
            place = end_of_word(task, input_text, word)
            return input_text[:place] + template.fill({"entries": entries}) + input_text[place:]
