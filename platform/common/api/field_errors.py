"""From Django REST framework's nested error details to a flat list of places, messages and remedies."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.settings import api_settings

from common.api.problems import FieldError, pointer

# What to do about the framework's own errors, by their code.
_REMEDIES: Final = {
    "required": "Add it.",
    "null": "Send a value, or leave the field out where it is optional.",
    "blank": "Send at least one character.",
    "empty": "Send at least one.",
    "max_length": "Send less.",
    "min_length": "Send more.",
    "max_value": "Send a smaller number.",
    "min_value": "Send a larger number.",
    "invalid_choice": "Send one of the values named.",
    "not_a_list": "Send a JSON list.",
    "not_a_dict": "Send a JSON object.",
    "datetime": "Send a time as 2024-05-31T12:00:00Z.",
}
_OTHERWISE: Final = "See the description of this field in the API's documentation."


class Invalid(ValidationError):
    """Raised by a serializer's field or `validate`: what is wrong, and what to do about it.

    The remedy travels as the error's code: the framework copies errors, and keeps of each its text and its code.
    """

    def __init__(self, message: str, *, remedy: str) -> None:
        super().__init__(message, code=remedy)


def field_errors(detail: Any, place: tuple[str | int, ...] = ()) -> Iterator[FieldError]:
    """The errors in `detail`, with JSON pointers below `place`."""
    if isinstance(detail, Mapping):
        for name, below in detail.items():
            here = place if name == api_settings.NON_FIELD_ERRORS_KEY else (*place, name)
            yield from field_errors(below, here)
    elif isinstance(detail, str):
        yield FieldError(pointer(*place), str(detail), _remedy(detail))
    elif isinstance(detail, Sequence):
        if all(isinstance(item, str) for item in detail):
            for item in detail:
                yield from field_errors(item, place)
        else:
            for index, item in enumerate(detail):
                yield from field_errors(item, (*place, index))


def _remedy(detail: str) -> str:
    code = str(detail.code) if isinstance(detail, ErrorDetail) else ""
    return code if " " in code else _REMEDIES.get(code, _OTHERWISE)
