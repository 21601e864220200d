"""Serializers that take what they describe and nothing else: no unknown fields, no "5" for 5, no 1 for true.

Bodies are described by `StrictSerializer`, query parameters by `QuerySerializer`, both with the fields of this module
(and `serializers.DictField`, `JSONField`). The framework's lenient fields are refused when a class is made.
"""

import re
from collections.abc import Mapping
from itertools import islice
from typing import Any, ClassVar, Final

from django.utils.datastructures import MultiValueDict
from rest_framework import serializers
from rest_framework.fields import empty

from common.api.converters import MOST_CHARACTERS, stands_in_an_address
from common.api.field_errors import Invalid as Invalid
from common.api.problems import MOST_ERRORS

_WHOLE: Final = re.compile(r"-?[0-9]{1,16}\Z")


class StringField(serializers.CharField):
    """A JSON string, taken as it is: blanks at its ends belong to it. `allow_blank=False` unless told."""

    default_error_messages: ClassVar = {
        "blank": "This is an empty string.",
        "max_length": "This has more than {max_length} characters.",
        "min_length": "This has fewer than {min_length} characters.",
    }

    def __init__(self, **options: Any) -> None:
        options.setdefault("trim_whitespace", False)
        super().__init__(**options)

    def run_validation(self, data: Any = empty) -> Any:
        """Only an empty string is blank."""
        if isinstance(data, str) and data == "" and not self.allow_blank:
            self.fail("blank")
        return super(serializers.CharField, self).run_validation(data)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            raise Invalid("This is no string.", remedy="Send a JSON string.")
        return data


class ExternalIdField(StringField):
    """The client's own name for something: 1 to 255 characters that can stand in an address."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("max_length", MOST_CHARACTERS)
        options.setdefault("help_text", "1 to 255 characters without “/” and control characters; not “.” or “..”.")
        super().__init__(**options)

    def to_internal_value(self, data: Any) -> str:
        value = super().to_internal_value(data)
        if not stands_in_an_address(value):
            raise Invalid("This cannot stand in an address.", remedy="Leave out “/” and control characters.")
        return value


class IntegerField(serializers.IntegerField):
    """A JSON number without fraction."""

    default_error_messages: ClassVar = {
        "max_value": "This is more than {max_value}.",
        "min_value": "This is less than {min_value}.",
    }

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            raise Invalid("This is no whole number.", remedy="Send a JSON number without fraction.")
        return data


class NumberField(serializers.FloatField):
    """A JSON number."""

    default_error_messages: ClassVar = IntegerField.default_error_messages

    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool) or not isinstance(data, (int, float)):
            raise Invalid("This is no number.", remedy="Send a JSON number.")
        return float(data)


class BooleanField(serializers.BooleanField):
    """JSON's true or false."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            raise Invalid("This is neither true nor false.", remedy="Send true or false, without quotes.")
        return data


class ChoiceField(serializers.ChoiceField):
    """One of some strings."""

    def to_internal_value(self, data: Any) -> Any:
        # Not every JSON value can be looked up.
        if not isinstance(data, str) or data not in self.choices:
            named = ", ".join(str(choice) for choice in self.choices)
            raise Invalid("This is not one of the values known here.", remedy=f"Send one of: {named}.")
        return data


class DateTimeField(serializers.DateTimeField):
    """A time as ISO 8601, with its zone: 2024-05-31T12:00:00Z."""

    def to_internal_value(self, value: Any) -> Any:
        remedy = "Send a time with its zone, such as 2024-05-31T12:00:00Z."
        if not isinstance(value, str) or not re.search(r"(Z|[+-][0-9]{2}:?[0-9]{2})\Z", value):
            raise Invalid("This is no time with a zone.", remedy=remedy)
        try:
            return super().to_internal_value(value)
        except (serializers.ValidationError, OverflowError):
            raise Invalid("This is no time.", remedy=remedy) from None


class ListField(serializers.ListField):
    """A JSON list."""

    default_error_messages: ClassVar = {
        "not_a_list": "This is no list.",
        "min_length": "This has fewer than {min_length} members.",
        "max_length": "This has more than {max_length} members.",
    }

    def to_internal_value(self, data: Any) -> list[Any]:
        if not isinstance(data, list):
            self.fail("not_a_list")
        # Before its members are looked at, each of which may be wrong.
        if self.max_length is not None and len(data) > self.max_length:
            self.fail("max_length", max_length=self.max_length)
        return super().to_internal_value(data)

    def run_child_validation(self, data: list[Any]) -> list[Any]:
        """The members; errors of no more of them than an answer lists."""
        found = []
        errors: dict[Any, Any] = {}
        for index, item in enumerate(data):
            try:
                found.append(self.child.run_validation(item))
            except serializers.ValidationError as wrong:
                errors[index] = wrong.detail
                if len(errors) > MOST_ERRORS:
                    break
        if errors:
            raise serializers.ValidationError(errors)
        return found


_LENIENT: Final = (
    serializers.CharField,
    serializers.IntegerField,
    serializers.FloatField,
    serializers.BooleanField,
    serializers.ChoiceField,
    serializers.DateTimeField,
    serializers.ListField,
)


class StrictSerializer(serializers.Serializer):
    """A JSON object with exactly these fields."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name, field in cls._declared_fields.items():
            inner = field.child if isinstance(field, (serializers.ListField, serializers.DictField)) else field
            for one in (field, inner):
                if type(one) in _LENIENT and not one.read_only:
                    raise TypeError(f"{cls.__name__}.{name} is of the framework; use common.api.serializers' field")

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, Mapping):
            raise Invalid("This is no JSON object.", remedy="Send a JSON object.")
        known = {str(field.field_name) for field in self._writable_fields}
        errors: dict[str, Any] = {}
        try:
            value: dict[str, Any] = super().to_internal_value(data)
        except serializers.ValidationError as wrong:
            value, errors = {}, wrong.detail if isinstance(wrong.detail, dict) else {"": wrong.detail}
        names = ", ".join(sorted(known))
        for name in islice((name for name in data if name not in known), MOST_ERRORS + 1):
            unknown = Invalid("There is no such field.", remedy=f"Remove it. Known are: {names}.")
            errors[name] = unknown.detail
        if errors:
            raise serializers.ValidationError(errors)
        return value


class QuerySerializer(StrictSerializer):
    """Query parameters: each once, and those named here alone. Numbers and true/false are read from their text."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if isinstance(data, MultiValueDict):
            repeated = [name for name, values in data.lists() if len(values) > 1]
            if repeated:
                once = Invalid("The parameter stands more than once.", remedy="Send it once.")
                raise serializers.ValidationError(dict.fromkeys(repeated, once.detail))
            data = {name: self._read(name, str(text)) for name, text in data.items()}
        return super().to_internal_value(data)

    def _read(self, name: str, text: str) -> Any:
        field = self.fields.get(name)
        if isinstance(field, serializers.IntegerField) and _WHOLE.match(text):
            return int(text)
        if isinstance(field, serializers.BooleanField) and text in ("true", "false"):
            return text == "true"
        if "\0" in text:
            raise serializers.ValidationError(
                {name: Invalid("The parameter holds a NUL character.", remedy="Remove it.").detail}
            )
        return text
