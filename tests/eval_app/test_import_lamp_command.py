"""`manage.py import_lamp` refuses bad input with a message and exit code 2, and stores nothing."""

import json

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from common.objects import get_store
from eval_app.models import Dataset
from jobs.models import Job
from tests.lamp.lamp_files import headline_question, outputs, truth, tweet_question, write
from users_app.models import Workspace

pytestmark = pytest.mark.django_db

GOOD = [tweet_question("1")]


def refused(tmp_path, questions=GOOD, golds=None, **more) -> str:
    arguments = {
        "workspace": "lab",
        "dataset": "lamp",
        "split": "dev",
        "questions": str(tmp_path / "dev_questions.json"),
    }
    if questions is not None:
        write(tmp_path / "dev_questions.json", questions)
    if golds is not None:
        arguments["outputs"] = str(write(tmp_path / "dev_outputs.json", golds))
    with pytest.raises(CommandError) as caught:
        call_command("import_lamp", **arguments | more)
    assert caught.value.returncode == 2
    assert not Workspace.objects.exists()
    assert not Dataset.objects.exists()
    assert not Job.objects.exists()
    assert list(get_store().list("imports/")) == []
    return str(caught.value)


@pytest.mark.parametrize(
    ("questions", "golds", "expected"),
    [
        (b"hello", None, "dev_questions.json: not JSON"),
        (json.dumps(GOOD).encode()[:-9], None, "the file ends in the middle"),
        ({"id": "1"}, None, "an object where a list of questions belongs"),
        ([[1]], None, "is not an object"),
        ([{"id": "1", "profile": []}], None, 'question 1, field "input": is missing'),
        ([tweet_question("1", input="x")], None, "the input lacks"),
        (GOOD + GOOD, None, "is the id of an earlier question too"),
        (GOOD, outputs("LaMP_7", {"1": "a", "2": "b"}), "1 gold is for unknown questions: 2"),
        ([*GOOD, tweet_question("2")], outputs("LaMP_7", {"1": "a"}), "1 question has no gold: 2"),
        ([tweet_question("1", profile={})], None, 'field "profile": is not a list'),
        ([tweet_question("1", profile=[{"id": "1", "text": "x", "date": "now"}])], None, "is no date"),
        ([tweet_question("1", profile=[{"id": "1", "text": [["x"]]}])], None, "deeper than the format"),
        ([tweet_question("1", profile=[{"id": "1", "text": "x" * ((1 << 20) + 1)}])], None, "longer than 1 MiB"),
        ([tweet_question("1", input="\0")], None, "NUL"),
        ([tweet_question("1", input="\udc00")], None, "half of a surrogate pair"),
        (None, None, "there is no such file"),
    ],
)
def test_bad_files(tmp_path, questions, golds, expected):
    assert expected in refused(tmp_path, questions, golds)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"task": "LaMP-6"}, "its inputs are those of LaMP-4, not of LaMP-6"),
        ({"task": "LaMP-9"}, "there is no task 'LaMP-9'"),
        ({"dataset": "no such/name"}, "The dataset's name may hold letters"),
        ({"workspace": "ü"}, "The workspace's name may hold letters"),
    ],
)
def test_bad_names(tmp_path, more, expected):
    assert expected in refused(tmp_path, [headline_question("1")], **more)


@pytest.mark.parametrize(
    ("oracle", "expected"),
    [
        (b"hello", "truth.json: not JSON"),
        (truth("LaMP_4", dev={"1": "x"}), "names another task than LaMP-7"),
        (truth("LaMP_7", test={"1": "x"}), 'field "oracle.dev.answers": is missing'),
        (truth("LaMP_7", dev={"1": "x", "2": "y"}), "1 answer is for unknown questions: 2"),
        (truth("LaMP_7", dev={}), "1 question has no answer of the oracle: 1"),
    ],
)
def test_bad_truths(tmp_path, oracle, expected):
    assert expected in refused(tmp_path, truth=str(write(tmp_path / "truth.json", oracle)))
