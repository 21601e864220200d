"""Passwords apart from the addresses that they belong to."""

import runpy
from pathlib import Path

import pytest

from config.settings import database, queue


def settings_with(monkeypatch, module, **environment):
    """The settings of one module in an environment of their own."""
    for name in ("DATABASE_PASSWORD", "BROKER_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return runpy.run_path(str(Path(module.__file__)))


@pytest.mark.parametrize("address", ["postgres://lamp@db:5433/shop", "postgres://lamp:old@db:5433/shop"])
def test_the_database_s_is_taken_as_it_is(monkeypatch, address):
    found = settings_with(monkeypatch, database, DATABASE_URL=address, DATABASE_PASSWORD="p@ss/w%3A")["DATABASES"]
    assert {name: found["default"][name] for name in ("HOST", "PORT", "NAME", "USER", "PASSWORD")} == {
        "HOST": "db", "PORT": 5433, "NAME": "shop", "USER": "lamp", "PASSWORD": "p@ss/w%3A",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("address", "with_password"),
    [
        ("redis://redis:6379/0", "redis://:p%40ss%2F@redis:6379/0"),
        ("redis://:old@redis:6379/0", "redis://:p%40ss%2F@redis:6379/0"),
        ("rediss://lamp@[fd00::1]:6379/3", "rediss://lamp:p%40ss%2F@[fd00::1]:6379/3"),
    ],
)
def test_the_broker_s_goes_into_its_address(monkeypatch, address, with_password):
    assert settings_with(monkeypatch, queue, BROKER_URL=address, BROKER_PASSWORD="p@ss/")["BROKER_URL"] == with_password


def test_an_address_without_one_stays_as_it_is(monkeypatch):
    assert settings_with(monkeypatch, queue, BROKER_URL="redis://h/1")["BROKER_URL"] == "redis://h/1"
