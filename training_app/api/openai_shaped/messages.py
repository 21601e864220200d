"""From a conversation to the one text that the model sees."""

from collections.abc import Sequence
from typing import Any, Final

from common.api.problems import FieldError, invalid_input, pointer

_INSTRUCTIONS: Final = ("system", "developer")
_NOT_READ: Final = ("user", "assistant")


def input_of_messages(messages: Sequence[Any]) -> str:
    """The text of the last message, which must be the user's. Earlier turns of user and assistant are not read.

    A model of this kind follows no instructions and has no memory of a conversation: it sees a task's input, and what
    the method adds of the user's documents. So a system's message is refused: it would change nothing.

    Raises `Problem` 400.
    """
    errors = [error for at, message in enumerate(messages) if (error := _error_of(at, message)) is not None]
    if errors:
        raise invalid_input(*errors)
    last = len(messages) - 1
    if messages[last]["role"] != "user":
        raise invalid_input(
            FieldError(
                pointer("messages", last, "role"),
                "The last message is not the user's.",
                "End the list with what the user says: it is the task's input.",
            )
        )
    return _text(messages[last].get("content"), last)


def _error_of(at: int, message: Any) -> FieldError | None:
    if not isinstance(message, dict):
        return FieldError(pointer("messages", at), "This is no message.", "Send an object with a role and a content.")
    place = pointer("messages", at, "role")
    role = message.get("role")
    if role in _INSTRUCTIONS:
        return FieldError(
            place,
            "The model follows no instructions, so this message would change nothing.",
            "Leave it out. What an answer looks like is decided by the task; POST /api/v1/tasks defines one.",
        )
    if role not in _NOT_READ:
        return FieldError(place, "Messages of this role are not understood.", "Send messages of user and assistant.")
    return None


def _text(content: Any, at: int) -> str:
    if isinstance(content, str):
        return content
    place = pointer("messages", at, "content")
    if not isinstance(content, list) or not content:
        raise invalid_input(FieldError(place, "There is no text.", "Send a string, or a list of text parts."))
    texts = [_part(part) for part in content]
    errors = [
        FieldError(f"{place}/{number}", "This is no text.", 'Send parts such as {"type": "text", "text": "…"}.')
        for number, text in enumerate(texts)
        if text is None
    ]
    if errors:
        raise invalid_input(*errors)
    return "\n".join(text for text in texts if text is not None)


def _part(part: Any) -> str | None:
    if isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    return None
