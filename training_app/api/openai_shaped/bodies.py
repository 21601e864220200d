"""What is read of a request."""

from typing import Any, Final

from rest_framework import serializers

from common.api.serializers import (
    BooleanField,
    ChoiceField,
    ExternalIdField,
    IntegerField,
    Invalid,
    ListField,
    StrictSerializer,
    StringField,
)
from training_app import asking

_MOST_MESSAGES: Final = 1_000


class StreamOptions(StrictSerializer):
    include_usage = BooleanField(default=False)
    # Only pads chunks, against those who watch the wire.
    include_obfuscation = BooleanField(required=False)


class _CompletionBody(StrictSerializer):
    model = StringField(max_length=300)
    user = ExternalIdField(
        error_messages={"required": "Whose answer it is must be said: the id of the end user whose documents are kept."}
    )
    task = StringField(max_length=100, required=False)
    method = ChoiceField(choices=asking.METHODS, default=asking.AUTO)
    retriever = ChoiceField(choices=asking.RETRIEVERS, required=False)
    k = IntegerField(min_value=1, max_value=asking.DOCUMENTS_MOST, required=False)
    num_beams = IntegerField(min_value=1, max_value=asking.BEAMS_MOST, default=asking.BEAMS_DEFAULT)
    max_tokens = IntegerField(min_value=1, max_value=asking.OUTPUT_TOKENS_MOST, required=False)
    seed = IntegerField(min_value=0, max_value=asking.SEED_MOST, default=0)
    stream = BooleanField(default=False)
    stream_options = StreamOptions(required=False)


class CompletionBody(_CompletionBody):
    """Of `/v1/completions`."""

    prompt = serializers.JSONField()

    def validate_prompt(self, prompt: Any) -> str:
        """The one text that it holds."""
        text = prompt[0] if isinstance(prompt, list) and len(prompt) == 1 else prompt
        if not isinstance(text, str):
            raise Invalid("This is not one text.", remedy="Send a string, or a list with one string; no tokens.")
        return text


class ChatBody(_CompletionBody):
    """Of `/v1/chat/completions`."""

    messages = ListField(child=serializers.JSONField(), min_length=1, max_length=_MOST_MESSAGES)
    max_completion_tokens = IntegerField(min_value=1, max_value=asking.OUTPUT_TOKENS_MOST, required=False)

    def validate(self, attributes: dict[str, Any]) -> dict[str, Any]:
        """The limit stands under one name."""
        limit = attributes.pop("max_completion_tokens", None)
        if limit is not None and attributes.setdefault("max_tokens", limit) != limit:
            raise Invalid(
                "max_tokens is the old name of max_completion_tokens, and here they differ.", remedy="Send one of them."
            )
        return attributes
