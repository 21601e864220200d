import json

import pytest

from lamp.catalogue import get_task
from lamp.golds import read_golds
from lamp.predictions import read_predictions, write_predictions
from lamp.problems import LampProblem
from tests.lamp.lamp_files import outputs, write

LAMP_7, NEWS = get_task("LaMP-7"), get_task("LaMP-2N")


def problem(tmp_path, content, task=None) -> str:
    with pytest.raises(LampProblem) as caught:
        read_golds(write(tmp_path / "dev_outputs.json", content), task=task).as_dict()
    return str(caught.value)


def test_golds_are_kept_as_in_the_file(tmp_path):
    rows = {"task": "LaMP_7", "golds": [{"id": "1", "output": " \t&amp; 😀 "}, {"id": 2, "output": ""}]}
    golds = read_golds(write(tmp_path / "o.json", rows), task=LAMP_7)
    assert golds.task_key == "LaMP_7"
    assert [tuple(gold) for gold in golds.items] == [("1", " \t&amp; 😀 ", False), ("2", "", True)]


def test_the_task_may_stand_after_the_golds_or_nowhere(tmp_path):
    assert read_golds(write(tmp_path / "a", b'{"golds": [], "task": "LaMP_7"}')).task_key == "LaMP_7"
    assert read_golds(write(tmp_path / "b", b'{"golds": []}')).task_key is None


def test_numbers_are_read_as_text(tmp_path):
    rows = {"task": "LaMP_3", "golds": [{"id": "1", "output": 4}, {"id": "2", "output": 4.5}]}
    assert read_golds(write(tmp_path / "o", rows)).as_dict() == {"1": "4", "2": "4.5"}


def test_the_news_version_is_called_lamp_2_in_its_files(tmp_path):
    path = write(tmp_path / "o", outputs("LaMP_2", {"1": "politics "}))
    assert read_golds(path, task=NEWS).as_dict() == {"1": "politics "}


@pytest.mark.parametrize(
    ("content", "task", "expected"),
    [
        (outputs("LaMP_4", {"1": "x"}), LAMP_7, 'field "task": names another task than LaMP-7'),
        (outputs("nothing", {"1": "x"}), LAMP_7, 'field "task": names another task than LaMP-7'),
        (outputs("LaMP_2", {"1": "comedy"}), NEWS, 'question 1, field "output": is none of the 15 labels of LaMP-2N'),
        (outputs("LaMP_3", {"1": "six"}), get_task("LaMP-3"), 'field "output": is no number from 1 to 5'),
        ({"task": 7, "golds": []}, None, 'field "task": is not a text'),
        ({"task": "LaMP_7"}, None, 'field "golds": is missing'),
        ({"task": "LaMP_7", "golds": {}}, None, 'field "golds": is not a list'),
        ({"task": "LaMP_7", "golds": ["x"]}, None, "row 1: is not an object"),
        ({"task": "LaMP_7", "golds": [{"output": "x"}]}, None, 'row 1, field "id": is missing'),
        ({"task": "LaMP_7", "golds": [{"id": "7"}]}, None, 'question 7, field "output": is missing'),
        ({"task": "LaMP_7", "golds": [{"id": "7", "output": None}]}, None, 'field "output": is not a text'),
        ({"task": "LaMP_7", "golds": [{"id": "7", "output": True}]}, None, 'field "output": is not a text'),
        ({"task": "LaMP_7", "golds": [{"id": "7", "output": ["x"]}]}, None, "deeper than the format has them"),
        ({"task": "LaMP_7", "golds": [{"id": "7", "output": "x"}] * 2}, None, "is the id of an earlier question too"),
        (b'{"task": "LaMP_7", "golds": [{"id": "7", "out', None, 'question 7, field "id": the file ends in the middle'),
        ([], None, "a list where an object"),
    ],
)
def test_bad_outputs_are_refused(tmp_path, content, task, expected):
    assert expected in problem(tmp_path, content, task)


def test_predictions_are_written_in_the_outputs_form(tmp_path):
    path = tmp_path / "p.json"
    rows = [("1", 'a "quoted" 😀\n'), (2, "")]
    assert write_predictions(path, task=LAMP_7, predictions=iter(rows)) == 2
    assert json.loads(path.read_text()) == {
        "task": "LaMP_7",
        "golds": [{"id": "1", "output": 'a "quoted" 😀\n'}, {"id": 2, "output": ""}],
    }
    assert read_predictions(path).as_dict() == {"1": 'a "quoted" 😀\n', "2": ""}


def test_predictions_that_fail_on_the_way_leave_what_stood_there(tmp_path):
    path = write(tmp_path / "p.json", b"before")

    def rows():
        yield "1", "x"
        raise InterruptedError

    with pytest.raises(InterruptedError):
        write_predictions(path, task=LAMP_7, predictions=rows())
    assert path.read_bytes() == b"before"
    assert [found.name for found in tmp_path.iterdir()] == ["p.json"]


def test_no_predictions_are_an_empty_list(tmp_path):
    write_predictions(tmp_path / "p.json", task=NEWS, predictions=[])
    assert json.loads((tmp_path / "p.json").read_text()) == {"task": "LaMP_2", "golds": []}
