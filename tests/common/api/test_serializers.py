"""Fields that take what they say and nothing that only looks like it."""

import pytest
from rest_framework import serializers

from common.api.field_errors import field_errors
from common.api.serializers import (
    BooleanField,
    ChoiceField,
    DateTimeField,
    ExternalIdField,
    IntegerField,
    Invalid,
    ListField,
    NumberField,
    StrictSerializer,
    StringField,
)


def refused(field, value):
    """The one error that the field has with the value."""
    with pytest.raises(serializers.ValidationError) as raised:
        field.run_validation(value)
    [error] = field_errors(raised.value.detail)
    assert error.message.endswith(".")
    assert error.remedy
    return error


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (StringField(), "  a text with blanks "),
        (StringField(allow_blank=True), ""),
        (StringField(), "   "),
        (ExternalIdField(), "u-1@example.org ü"),
        (IntegerField(), -3),
        (NumberField(), 0.25),
        (NumberField(), 2),
        (BooleanField(), False),
        (ChoiceField(choices=["a", "b"]), "b"),
        (ListField(child=IntegerField()), [1, 2]),
    ],
)
def test_what_is_of_the_kind_is_taken_as_it_is(field, value):
    assert field.run_validation(value) == value


@pytest.mark.parametrize(
    ("field", "values"),
    [
        (StringField(max_length=3), [1, 1.5, True, None, [], {}, "", "long"]),
        (ExternalIdField(), ["", ".", "..", "a/b", "a\nb", "a\x85b", "x" * 256, 7]),
        (IntegerField(min_value=1, max_value=5), ["3", 3.0, True, None, 0, 6, [3]]),
        (NumberField(max_value=1.0), ["0.5", True, None, 2]),
        (BooleanField(), ["true", 0, 1, None, [], {}]),
        (ChoiceField(choices=["a"]), ["b", 1, None, [], {}, True]),
        (DateTimeField(), ["2024-05-31", "2024-05-31T12:00:00", "yesterday", 5, None, "9999-99-99T00:00:00Z", ""]),
        (ListField(child=IntegerField(), max_length=2, allow_empty=False), ["ab", {}, None, [], [1, 2, 3], [1, "2"]]),
    ],
    ids=lambda given: type(given).__name__ if isinstance(given, serializers.Field) else "",
)
def test_what_only_looks_like_it_is_refused(field, values):
    for value in values:
        refused(field, value)


def test_a_remedy_names_the_choices():
    assert refused(ChoiceField(choices=["a", "b"]), "c").remedy == "Send one of: a, b."


def test_a_time_is_taken_with_its_zone():
    assert DateTimeField().run_validation("2024-05-31T12:00:00+02:00").isoformat() == "2024-05-31T10:00:00+00:00"


def test_a_list_that_is_too_long_is_not_looked_through():
    assert "more than 2" in refused(ListField(child=IntegerField(), max_length=2), ["x"] * 1000).message


def test_a_serializer_with_a_lenient_field_is_not_made():
    with pytest.raises(TypeError, match="name is of the framework"):
        type("Lenient", (StrictSerializer,), {"name": serializers.CharField()})
    with pytest.raises(TypeError, match="names is of the framework"):
        type("Lenient", (StrictSerializer,), {"names": ListField(child=serializers.IntegerField())})


def test_what_validate_says_keeps_its_remedy():
    class Pair(StrictSerializer):
        low = IntegerField()
        high = IntegerField()

        def validate(self, attrs):
            if attrs["low"] > attrs["high"]:
                raise Invalid("“low” is above “high”.", remedy="Swap them.")
            return attrs

    assert refused(Pair(), {"low": 2, "high": 1}).remedy == "Swap them."


def test_an_error_deep_inside_has_its_place():
    class Inner(StrictSerializer):
        n = IntegerField()

    class Outer(StrictSerializer):
        rows = ListField(child=Inner())
        inner = Inner(required=False)

    with pytest.raises(serializers.ValidationError) as raised:
        Outer().run_validation({"rows": [{"n": 1}, {"n": "2"}, {}], "inner": {"n": 1, "m": 2}, "other": 1})
    assert {error.field for error in field_errors(raised.value.detail)} == {
        "/rows/1/n",
        "/rows/2/n",
        "/inner/m",
        "/other",
    }
