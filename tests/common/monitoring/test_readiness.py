"""Asking the parts: how they stand, and that none of them stretches the time."""

import logging
import threading
import time

import pytest

from common.monitoring.readiness import Found, Part, Probe, Standing, is_ready


@pytest.fixture
def probe_of():
    def probe(ask):
        return Probe(Part(name="well", ask=ask))

    return probe


@pytest.fixture
def hanging():
    """What a part that hangs does, until the test ends."""
    ended = threading.Event()
    asked = []

    def ask():
        asked.append(None)
        ended.wait(10)
        return Found()

    ask.asked, ask.end = asked, ended.set
    yield ask
    ended.set()


def state_of(probe, *, seconds=5.0):
    probe.begin()
    return probe.standing(until=time.monotonic() + seconds)


def test_a_part_that_answers_is_up(probe_of):
    standing = state_of(probe_of(lambda: Found(details={"queues": {"cpu": 1}})))
    assert (standing.state, standing.details) == ("up", {"queues": {"cpu": 1}})


def test_a_part_that_answers_and_lacks_something_says_so(probe_of):
    assert state_of(probe_of(lambda: Found("missing"))).state == "missing"


def test_a_part_that_raises_is_down_and_its_words_reach_no_log(probe_of, caplog):
    def ask():
        raise OSError("postgres://lamp:secret@db.internal/lamp")

    with caplog.at_level(logging.INFO):
        assert state_of(probe_of(ask)).state == "down"
    assert "OSError" in caplog.text
    assert "secret" not in caplog.text


def test_a_part_that_hangs_is_given_up_in_time(probe_of, hanging):
    begun = time.monotonic()
    assert state_of(probe_of(hanging), seconds=0.1).state == "timeout"
    assert time.monotonic() - begun < 2


def test_a_part_that_hangs_is_not_asked_again_before_it_ends(probe_of, hanging):
    probe = probe_of(hanging)
    assert [state_of(probe, seconds=0.05).state for _ in range(5)] == ["timeout"] * 5
    assert len(hanging.asked) == 1


def test_a_part_that_hung_is_up_once_it_answers(probe_of, hanging):
    probe = probe_of(hanging)
    assert state_of(probe, seconds=0.05).state == "timeout"
    hanging.end()
    assert state_of(probe).state == "up"


def test_a_part_is_asked_once_a_second_at_most(probe_of):
    asked = []

    def ask():
        asked.append(None)
        return Found()

    probe = probe_of(ask)
    for _ in range(20):
        assert state_of(probe).state == "up"
    assert len(asked) == 1


def test_the_log_tells_of_a_change_once(probe_of, caplog, monkeypatch):
    monkeypatch.setattr("common.monitoring.readiness.FRESH_SECONDS", 0.0)

    def ask():
        raise OSError

    probe = probe_of(ask)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            state_of(probe)
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("state", "required", "ready"),
    [
        ("up", True, True),
        ("down", True, False),
        ("timeout", True, False),
        ("missing", True, False),
        ("down", False, True),
        ("missing", False, True),
    ],
)
def test_only_what_is_required_decides(state, required, ready):
    assert is_ready([Standing(name="well", required=required, state=state, seconds=0.0)]) is ready
