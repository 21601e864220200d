import runpy
from ipaddress import ip_network
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.settings import webhooks


def settings_with(monkeypatch, **environment):
    """The settings of webhooks in an environment of their own."""
    for name in vars(webhooks):
        if name.startswith("WEBHOOK"):
            monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return runpy.run_path(str(Path(webhooks.__file__)))


def test_they_go_to_the_public_internet_by_https_unless_told(monkeypatch):
    assert settings_with(monkeypatch)["WEBHOOK_ALLOWED_NETWORKS"] == ()
    assert settings_with(monkeypatch)["WEBHOOK_ALLOW_HTTP"] is False


def test_networks_are_named_with_a_comma_between_two(monkeypatch):
    named = settings_with(monkeypatch, WEBHOOK_ALLOWED_NETWORKS="10.20.0.0/16,fd00::/8")
    assert named["WEBHOOK_ALLOWED_NETWORKS"] == (ip_network("10.20.0.0/16"), ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WEBHOOK_ALLOWED_NETWORKS", "10.20.0.1/16"),
        ("WEBHOOK_ALLOWED_NETWORKS", "intranet"),
        ("WEBHOOK_ALLOWED_NETWORKS", "10.0.0.0/8;fd00::/8"),
        ("WEBHOOKS_OF_A_WORKSPACE", "0"),
        ("WEBHOOK_BACKLOG", "0"),
        ("WEBHOOK_ROTATION_HOURS", "-1"),
        ("WEBHOOK_FAILING_DAYS", "0"),
        ("WEBHOOK_RETENTION_DAYS", "nan"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_its_name(monkeypatch, name, value):
    with pytest.raises(ImproperlyConfigured, match=name):
        settings_with(monkeypatch, **{name: value})
