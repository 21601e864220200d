import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamp.catalogue import get_task
from lamp.problems import LampProblem
from lamp.truth import read_oracle
from tests.lamp.lamp_files import truth, write

LAMP_7, NEWS, RATING = get_task("LaMP-7"), get_task("LaMP-2N"), get_task("LaMP-3")


def answers_of(path, *, task=LAMP_7, split="dev"):
    return [(answer.id, answer.output) for answer in read_oracle(path, task=task, split=split)]


def problem(tmp_path, content, *, task=LAMP_7, split="dev") -> str:
    with pytest.raises(LampProblem) as caught:
        answers_of(write(tmp_path / "truth.json", content), task=task, split=split)
    return str(caught.value)


def test_the_answers_are_those_of_the_split_as_they_stand_in_the_file(tmp_path):
    path = write(tmp_path / "truth.json", truth("LaMP_7", dev={"1": " \t😀 ", "2": ""}, test={"3": "x"}))
    assert answers_of(path) == [("1", " \t😀 "), ("2", "")]
    assert answers_of(path, split="test") == [("3", "x")]


def test_settings_traits_and_scores_are_passed_over(tmp_path):
    traits = {"tags": ["comedy"], "moods": {"early": [0.25, {"depth": [1]}]}}
    told = {"seed": 7, "strength": 0.9, "users": [{"user_id": 1, "early": traits, "late": traits}]}
    content = told | truth("LaMP_7", dev={"1": "x"}) | {"more": None}
    content["oracle"]["dev"]["scores"] = {"rouge-1": 0.9}
    assert answers_of(write(tmp_path / "truth.json", content)) == [("1", "x")]


def test_the_oracle_may_stand_before_the_task(tmp_path):
    path = write(tmp_path / "t", b'{"oracle": {"dev": {"answers": [{"id": 1, "output": 4}]}}, "task": "LaMP_3"}')
    assert answers_of(path, task=RATING) == [("1", "4")]


def test_the_news_version_is_called_lamp_2_in_its_files(tmp_path):
    assert answers_of(write(tmp_path / "t", truth("LaMP_2", dev={"1": "politics"})), task=NEWS) == [("1", "politics")]


@pytest.mark.parametrize(
    ("content", "task", "expected"),
    [
        (truth("LaMP_4", dev={"1": "x"}), LAMP_7, 'truth.json, field "task": names another task than LaMP-7'),
        ({"oracle": {"dev": {"answers": []}}}, LAMP_7, 'field "task": is missing'),
        ({"task": 7, "oracle": {"dev": {"answers": []}}}, LAMP_7, 'field "task": is not a text'),
        ({"task": "LaMP_7"}, LAMP_7, 'field "oracle.dev.answers": is missing'),
        ({"task": "LaMP_7", "oracle": []}, LAMP_7, 'field "oracle.dev.answers": is missing'),
        (truth("LaMP_7", test={"1": "x"}), LAMP_7, 'field "oracle.dev.answers": is missing'),
        ({"task": "LaMP_7", "oracle": {"dev": {"answers": {}}}}, LAMP_7, 'field "oracle.dev.answers": is not a list'),
        ({"task": "LaMP_7", "oracle": {"dev": {"answers": ["x"]}}}, LAMP_7, "row 1: is not an object"),
        ({"task": "LaMP_7", "oracle": {"dev": {"answers": [{"output": "x"}]}}}, LAMP_7, 'field "id": is missing'),
        ({"task": "LaMP_7", "oracle": {"dev": {"answers": [{"id": "7"}]}}}, LAMP_7, 'question 7, field "output"'),
        (truth("LaMP_3", dev={"7": "six"}), RATING, 'question 7, field "output": is no number from 1 to 5'),
        (truth("LaMP_2", dev={"7": "comedy"}), NEWS, 'question 7, field "output": is none of the 15 labels'),
        ([], LAMP_7, 'a list where an object with "task" and "oracle" belongs'),
        (b"", LAMP_7, "the file ends in the middle"),
        (b"\xff", LAMP_7, "not UTF-8"),
        (b'{"task": "LaMP_7", "oracle": {"dev": {"answers": [{"id": "7", "out', LAMP_7, "the file ends in the middle"),
        (b'{"users": ' + b"[" * 5000, LAMP_7, "deeper than the format has them"),
        (b'{"users": ["' + b"x" * (1 << 21), LAMP_7, "a string longer than 1 MiB"),
        (b'{"seed": NaN}', LAMP_7, "not JSON"),
    ],
)
def test_a_bad_truth_is_refused(tmp_path, content, task, expected):
    assert expected in problem(tmp_path, content, task=task)


def test_an_answer_that_comes_twice_is_refused(tmp_path):
    twice = {"task": "LaMP_7", "oracle": {"dev": {"answers": [{"id": "7", "output": "x"}] * 2}}}
    assert "question 7" in problem(tmp_path, twice)


def test_an_answer_of_immense_size_is_never_held(tmp_path):
    more = json.dumps({str(at): "x" * 1000 for at in range(20_000)})
    text = '{"task": "LaMP_7", "oracle": {"dev": {"answers": [{"id": "7", "output": "x", "more": ' + more + "}]}}}"
    assert "of more than 16 MiB" in problem(tmp_path, text.encode())


VALID = json.dumps(truth("LaMP_7", dev={"1": "one", "2": "two"}, test={"3": "x"})).encode()


@given(st.data())
def test_whatever_becomes_of_the_bytes_it_is_read_or_refused_with_words(tmp_path_factory, data):
    content = bytearray(VALID)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        if data.draw(st.booleans()):
            content[at] = data.draw(st.integers(0, 255))
        else:
            del content[at : at + data.draw(st.integers(1, 30))]
        if not content:
            break
    path = write(tmp_path_factory.mktemp("fuzz") / "truth.json", bytes(content))
    told = "truth.json"
    try:
        answers_of(path)
    except LampProblem as found:
        told = str(found)
    assert told.startswith("truth.json")
