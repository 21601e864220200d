"""What a selector reads of a candidate, as plain data: who writes it and who runs the model share this form."""

from typing import NamedTuple


class SelectorText(NamedTuple):
    """One candidate as a selector reads it.

    `text` is the first segment; `output`, where it is not None, is the second one, after the tokenizer's separator.
    """

    text: str
    output: str | None
