"""`/base-models`."""

import pytest

from training_app.adapters import ensure_base_model
from training_app.base_models import UnknownBaseModel, base_model_named

BASE_MODELS = "/api/v1/base-models"


@pytest.fixture
def three(db, settings):
    settings.DEFAULT_BASE_MODEL = "some/t5"
    for name, revision in (("some/t5", "1"), ("other/t5", "1"), ("some/t5", "2")):
        ensure_base_model(name=name, revision=revision)


def test_all_that_were_loaded_here_are_listed_and_the_default_is_marked(api, three):
    rows = api.get(BASE_MODELS).json()["data"]
    assert [(row["name"], row["revision"], row["default"]) for row in rows] == [
        ("some/t5", "2", True),
        ("other/t5", "1", False),
        ("some/t5", "1", False),
    ]


def test_none_is_no_error(api, db):
    assert api.get(BASE_MODELS).json() == {"data": [], "next_cursor": None}


def test_a_folder_is_called_by_its_last_part_and_found_by_it(db, api):
    ensure_base_model(name="/srv/models/small", revision="1")
    assert api.get(BASE_MODELS).json()["data"][0]["name"] == "small"
    assert base_model_named("small").name == "/srv/models/small"
    with pytest.raises(UnknownBaseModel, match="there are: small"):
        base_model_named("another")
