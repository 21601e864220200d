import runpy
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.settings import models


def settings_with(monkeypatch, **environment):
    """The settings of models in an environment of their own."""
    for name in ("TRAINING_SLOTS", "ADAPTER_DTYPE", "CHECKPOINT_SECONDS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return runpy.run_path(str(Path(models.__file__)))


def test_adapters_are_stored_in_half_precision_unless_told_otherwise(monkeypatch):
    assert settings_with(monkeypatch)["ADAPTER_DTYPE"] == "bfloat16"
    assert settings_with(monkeypatch, ADAPTER_DTYPE="float32")["ADAPTER_DTYPE"] == "float32"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ADAPTER_DTYPE", "float16"),
        ("ADAPTER_DTYPE", ""),
        ("TRAINING_SLOTS", "0"),
        ("TRAINING_SLOTS", "1025"),
        ("CHECKPOINT_SECONDS", "0"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_its_name(monkeypatch, name, value):
    with pytest.raises(ImproperlyConfigured, match=name):
        settings_with(monkeypatch, **{name: value})
