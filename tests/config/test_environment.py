"""Settings from files: for secrets, which no environment should show."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.settings.environment import env
from embedded import defaults


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Write a file that a setting names."""

    def write(name, text):
        path = tmp_path / name
        path.write_text(text)
        monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv(f"{name}_FILE", str(path))

    return write


def test_a_setting_is_what_its_file_holds_without_the_line_s_end(file):
    file("S3_SECRET_KEY", "of the store\n")
    assert env.str("S3_SECRET_KEY", default="") == "of the store"


def test_it_is_taken_as_it_is(file):
    file("DATABASE_PASSWORD", "$HOME and \\$ ")
    assert env.str("DATABASE_PASSWORD", default="") == "$HOME and \\$ "


def test_it_has_the_setting_s_kind(file):
    file("API_REQUESTS_PER_MINUTE", "7\n")
    file("SECRET_KEY_FALLBACKS", "older,oldest\n")
    assert env.int("API_REQUESTS_PER_MINUTE", default=1) == 7
    assert env.list("SECRET_KEY_FALLBACKS", default=[]) == ["older", "oldest"]


def test_no_earlier_keys_is_an_empty_file(file):
    file("SECRET_KEY_FALLBACKS", "\n")
    assert env.list("SECRET_KEY_FALLBACKS", default=[]) == []


def test_an_empty_secret_is_refused(file):
    file("SECRET_KEY", "\n")
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY_FILE names, is empty"):
        env.str("SECRET_KEY", default="")


def test_a_file_that_is_not_there_is_refused(file, tmp_path):
    file("SECRET_KEY", "a key")
    (tmp_path / "SECRET_KEY").unlink()
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY_FILE names, cannot be read"):
        env.str("SECRET_KEY", default="")


def test_a_setting_that_is_given_twice_is_refused_without_its_value(file, monkeypatch):
    file("SECRET_KEY", "a key")
    monkeypatch.setenv("SECRET_KEY", "another")
    with pytest.raises(ImproperlyConfigured, match="both set") as refusal:
        env.str("SECRET_KEY", default="")
    assert "another" not in str(refusal.value)


def test_a_number_that_is_none_is_refused_without_its_value(file):
    file("API_REQUESTS_PER_MINUTE", "secret")
    with pytest.raises(ImproperlyConfigured, match="API_REQUESTS_PER_MINUTE cannot be read") as refusal:
        env.int("API_REQUESTS_PER_MINUTE", default=1)
    assert "secret" not in str(refusal.value)


def test_a_server_whose_address_is_in_a_file_is_not_brought_up():
    assert defaults.wanted({"DATABASE_URL_FILE": "/run/secrets/database_url"}) == {"redis", "s3"}
