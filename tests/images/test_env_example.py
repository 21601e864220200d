""".env.example names every setting, and nothing that is none."""

import pytest
import yaml

from config.settings.environment import env
from tests.config.settings_of import NO_LITERAL, settings_read
from tests.images import topology

SETTINGS = {setting.name: setting for setting in settings_read()}
# Of compose itself: the file does not put it in.
COMPOSES_OWN = {"COMPOSE_PROFILES"}
WITH_DEFAULTS = {
    name for name, setting in SETTINGS.items() if setting.default is not NO_LITERAL and name not in topology.set_there()
}


def test_it_names_every_setting_that_is_read_from_the_environment():
    assert set(SETTINGS) <= set(topology.shown())


def test_it_names_every_variable_of_docker_compose():
    assert set(topology.interpolated()) <= set(topology.shown())


def test_it_names_nothing_else():
    assert set(topology.shown()) == set(SETTINGS) | set(topology.interpolated()) | COMPOSES_OWN


@pytest.mark.parametrize("name", sorted(WITH_DEFAULTS))
def test_a_default_that_is_shown_is_the_settings(name, monkeypatch):
    setting = SETTINGS[name]
    monkeypatch.delenv(f"{name}_FILE", raising=False)
    monkeypatch.setenv(name, topology.shown()[name])
    assert getattr(env, setting.kind)(name, default=setting.default) in (setting.default, setting.default or "")


@pytest.mark.parametrize("name", sorted(set(topology.interpolated()) - set(topology.set_there())))
def test_a_default_that_is_shown_is_composes(name):
    assert topology.shown()[name] == topology.interpolated()[name]


def test_its_profiles_are_those_of_services():
    profiles = {profile for service in topology.services().values() for profile in service.get("profiles", [])}
    # One in place of cpu-models, one that is run by its name.
    assert set(topology.set_there()["COMPOSE_PROFILES"].split(",")) == profiles - {"gpu", "backup"}


def test_no_secret_is_set_in_it():
    secrets = yaml.safe_load(topology.COMPOSE.read_text())["secrets"]
    assert not {name.upper() for name in secrets} & set(topology.set_there())
