import runpy
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.settings import audit, quotas

NAMES = ("QUOTA_DOCUMENTS", "QUOTA_ADAPTERS", "QUOTA_BYTES", "QUOTA_GENERATIONS_A_DAY", "AUDIT_RETENTION_DAYS")


def settings_with(monkeypatch, **environment):
    """The settings of quotas and the audit log in an environment of their own."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return {**runpy.run_path(str(Path(quotas.__file__))), **runpy.run_path(str(Path(audit.__file__)))}


def test_nothing_is_limited_and_everything_kept_unless_told_otherwise(monkeypatch):
    found = settings_with(monkeypatch)
    assert [found[name] for name in NAMES] == [None, None, None, None, 0.0]


def test_a_limit_may_be_zero_and_an_empty_one_is_none(monkeypatch):
    found = settings_with(monkeypatch, QUOTA_DOCUMENTS="0", QUOTA_BYTES="")
    assert (found["QUOTA_DOCUMENTS"], found["QUOTA_BYTES"]) == (0, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("QUOTA_DOCUMENTS", "-1"),
        ("QUOTA_BYTES", "many"),
        ("QUOTA_GENERATIONS_A_DAY", "1.5"),
        ("AUDIT_RETENTION_DAYS", "-1"),
        ("AUDIT_RETENTION_DAYS", "inf"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_its_name(monkeypatch, name, value):
    with pytest.raises(ImproperlyConfigured, match=name):
        settings_with(monkeypatch, **{name: value})
