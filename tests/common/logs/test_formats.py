"""A record as a line for people and as a line of JSON."""

import json
import logging

import pytest

from common.logs.context import binding
from common.logs.formats import formatter

SECRET = "rain on my roses"


def record(message="it is done", *args, error=None, **extra):
    exc_info = None
    if error is not None:
        try:
            raise error
        except Exception as raised:
            exc_info = (type(raised), raised, raised.__traceback__)
    made = logging.LogRecord("jobs.batches", logging.INFO, "file.py", 7, message, args, exc_info)
    vars(made).update(extra)
    return made


def as_json(made):
    text = formatter("json").format(made)
    assert "\n" not in text
    return json.loads(text)


def test_a_line_of_json_says_when_who_and_what():
    line = as_json(record("%s is done", "it"))
    assert (line["level"], line["logger"], line["message"]) == ("info", "jobs.batches", "it is done")
    assert line["time"].endswith("+00:00")
    assert "request_id" not in line


def test_a_line_carries_what_is_bound():
    with binding(request_id="r1", workspace_id=7, job_ids=[3, 4]):
        line = as_json(record())
        shown = formatter("console").format(record())
    assert (line["request_id"], line["workspace_id"], line["job_ids"]) == ("r1", 7, [3, 4])
    assert shown.endswith("it is done [request_id=r1 workspace_id=7 job_ids=3,4]")


def test_a_record_of_one_job_says_so_within_a_batch():
    with binding(job_ids=[3, 4]):
        line = as_json(record(job_id=4, job_ids=None))
    assert (line["job_id"], "job_ids" in line) == (4, False)


def test_a_line_break_starts_no_second_line():
    assert as_json(record("one\ntwo"))["message"] == "one\ntwo"


def test_a_message_has_a_bound():
    assert len(as_json(record("x" * 100_000))["message"]) == 8_000


@pytest.mark.parametrize("form", ["console", "json"])
def test_of_an_exception_the_type_and_the_place_are_kept_and_not_its_words(form):
    text = formatter(form).format(record(error=ValueError(SECRET)))
    assert "ValueError" in text
    assert "test_formats.py" in text
    assert SECRET not in text
