"""Templates put values into places, literally, and can do nothing else."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamp.templates import MissingField, Template, TemplateError


def test_values_are_put_in_literally():
    values = {"title": "{text} {0} {{x}} %s \\1", "text": "b"}
    assert Template("{title}|{text}|{title}").fill(values) == "{text} {0} {{x}} %s \\1|b|{text} {0} {{x}} %s \\1"


def test_doubled_braces_are_braces():
    assert Template("{{{a}}} {{a}}").fill({"a": "x"}) == "{x} {a}"


@pytest.mark.parametrize(("value", "text"), [(5, "5"), (4.5, "4.5"), (Decimal("4.50"), "4.50"), ("", ""), ("5 ", "5 ")])
def test_numbers_stand_as_python_writes_them(value, text):
    assert Template("{score}").fill({"score": value}) == text


@pytest.mark.parametrize(
    "source", ["{", "}", "{a", "a}", "{}", "{0}", "{a.b}", "{a[0]}", "{a!r}", "{a:>9}", "{ a }", "{{a}"]
)
def test_what_could_do_more_than_name_a_field_is_refused(source):
    with pytest.raises(TemplateError):
        Template(source)


def test_a_missing_field_is_named():
    with pytest.raises(MissingField) as caught:
        Template("{title} {text}").fill({"title": "a"})
    assert caught.value.field == "text"


@pytest.mark.parametrize("value", [None, True, ["a"], {"a": 1}, object()])
def test_only_texts_and_numbers_can_be_filled_in(value):
    with pytest.raises(TypeError, match="title"):
        Template("{title}").fill({"title": value})


@settings(deadline=None, derandomize=True)
@given(st.text(), st.text(), st.text())
def test_filling_is_joining(before, value, after):
    literal = (before.replace("{", "{{").replace("}", "}}"), after.replace("{", "{{").replace("}", "}}"))
    assert Template(literal[0] + "{a}" + literal[1]).fill({"a": value}) == before + value + after


def test_the_places_of_a_field_can_be_left_empty():
    emptied = Template("{{{a}}}{b} }}and{{ {a}").without("a")
    assert emptied == Template("{{}}{b} }}and{{ ")
    assert emptied.fill({"b": "x"}) == "{}x }and{ "
