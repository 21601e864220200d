"""The described form of a definition is the one that is read."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from lamp.catalogue import CATALOGUE
from lamp.task_definitions import InvalidDefinition, definition_of, own_task_from
from tests.lamp.own_tasks import MOODS, REPLIES, STARS, changed
from tests.lamp.test_task_definitions import JSON, POINTERS
from users_app.api.task_schema import DEFINITION, NEW_DEFINITION

OWN = [REPLIES, MOODS, STARS]


def problems(schema, definition):
    return [error.message for error in Draft7Validator(schema).iter_errors(definition)]


@pytest.mark.parametrize("definition", OWN, ids=lambda definition: definition["key"])
def test_what_can_be_sent_is_described(definition):
    assert problems(NEW_DEFINITION, definition) == []
    assert problems(NEW_DEFINITION, definition_of(own_task_from(definition))) == []


@pytest.mark.parametrize("key", CATALOGUE)
def test_what_is_answered_is_described(key):
    assert problems(DEFINITION, definition_of(CATALOGUE[key])) == []


@settings(deadline=None, derandomize=True, max_examples=300)
@given(st.sampled_from(POINTERS), JSON)
def test_what_breaks_the_description_is_refused(pointer, value):
    definition = changed(REPLIES, pointer, value)
    if problems(NEW_DEFINITION, definition):
        with pytest.raises(InvalidDefinition):
            own_task_from(definition)
