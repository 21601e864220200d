"""What is kept of an error: its type and where it came from; its words only where they are ours."""

import pytest
from django.db import IntegrityError

from jobs import errors
from jobs.models import Job


class Ours(Exception):
    safe_message = True


def described(raiser):
    try:
        raiser()
    except Exception as exc:
        return errors.describe(exc)


def test_a_foreign_message_is_withheld():
    error = described(lambda: int("what alice wrote"))
    assert (error.type, error.message) == ("ValueError", errors.WITHHELD)
    assert "alice" not in error.trace


def test_a_message_of_ours_is_kept():
    def refuse():
        raise Ours("question 12 has no profile")

    assert described(refuse).message == "question 12 has no profile"


def test_the_cause_is_kept_without_its_words():
    def wrapped():
        try:
            int("what alice wrote")
        except ValueError as exc:
            raise Ours("a score is no number") from exc

    error = described(wrapped)
    assert error.trace.splitlines()[0] == "ValueError"
    assert "alice" not in error.trace


def test_frames_hold_no_source_and_no_folders_of_the_machine():
    error = described(lambda: int("what alice wrote"))
    assert "tests/jobs/test_errors.py" in error.trace
    assert "int(" not in error.trace
    assert 'File "/' not in error.trace


@pytest.mark.django_db
def test_a_database_error_names_the_constraint_and_no_value():
    try:
        Job.objects.create(kind="test.record", dedupe_key="")
    except IntegrityError as exc:
        message = errors.describe(exc).message
    assert message.startswith("SQLSTATE 23514, table jobs_job, constraint job_dedupe_key_not_empty")


def test_a_very_long_message_is_cut():
    def refuse():
        raise Ours("x" * 10_000)

    assert len(described(refuse).message) == errors.MAX_MESSAGE
