"""Gunicorn's lines: in our form, and without what it quotes of a request."""

import json

import pytest
from gunicorn.config import Config

from common.logs.gunicorn import QuietLogger

SECRET = "rain-on-my-roses"


@pytest.fixture
def said(monkeypatch, capsys):
    """What the logger writes: `said(lambda log: log.info(...))`."""
    monkeypatch.setenv("LOG_FORMAT", "json")

    def lines(say):
        logger = QuietLogger(Config())
        say(logger)
        for handler in list(logger.error_log.handlers):
            logger.error_log.removeHandler(handler)
        return [json.loads(line) for line in capsys.readouterr().err.splitlines()]

    return lines


def test_its_lines_are_json(said):
    (line,) = said(lambda log: log.info("Listening at: %s (%s)", "http://127.0.0.1:8000", 7))
    assert (line["logger"], line["message"]) == ("gunicorn.error", "Listening at: http://127.0.0.1:8000 (7)")


def test_the_address_of_a_request_that_failed_is_not_kept(said):
    def fail(log):
        try:
            raise ValueError(SECRET)
        except ValueError:
            log.exception("Error handling request %s %s", "GET", f"/{SECRET}")

    (line,) = said(fail)
    assert line["message"] == "Error handling request … …"
    assert line["error"]["type"] == "ValueError"
    assert SECRET not in str(line)


def test_a_request_that_cannot_be_read_is_not_quoted(said):
    (line,) = said(lambda log: log.warning(f"Invalid request from ip=127.0.0.1: Invalid HTTP request line: '{SECRET}'"))
    assert line["message"] == "Invalid request"
