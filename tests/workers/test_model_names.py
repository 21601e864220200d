"""What a model's name stands for."""

import pytest

from workers.model_names import Source, base_model_source, encoder_source
from workers.small_models import SMALL_ENCODER, SMALL_T5


def test_small_is_in_the_repo_and_recorded_by_its_name():
    assert base_model_source("small") == Source(str(SMALL_T5), None, "small")
    assert encoder_source("small") == Source(str(SMALL_ENCODER), None, "small")


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("google/flan-t5-xxl", Source("google/flan-t5-xxl", None, "google/flan-t5-xxl")),
        ("google/flan-t5-xxl@ae7c913", Source("google/flan-t5-xxl", "ae7c913", "google/flan-t5-xxl")),
        ("google/flan-t5-xxl@refs/pr/3", Source("google/flan-t5-xxl", "refs/pr/3", "google/flan-t5-xxl")),
    ],
)
def test_a_hub_name_may_carry_a_revision(name, source):
    assert base_model_source(name) == source


def test_a_folder_is_recorded_by_its_whole_path_whatever_its_name(tmp_path, monkeypatch):
    (tmp_path / "my@model").mkdir()
    monkeypatch.chdir(tmp_path)
    folder = str(tmp_path / "my@model")
    assert base_model_source("my@model") == Source(folder, None, folder)
