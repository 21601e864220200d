import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamp.problems import LampProblem
from lamp.statistics import Spread, split_statistics
from tests.lamp.lamp_files import headline_input, headline_question, outputs, tweet_question, write


@settings(deadline=None)
@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=30))
def test_mean_and_deviation_are_those_of_all_values(values):
    spread = Spread()
    for value in values:
        spread.add(value)
    assert spread.mean == pytest.approx(statistics.fmean(values))
    assert spread.sd == pytest.approx(statistics.pstdev(values), abs=1e-6)
    assert (spread.least, spread.most) == (min(values), max(values))


def test_of_nothing_there_is_no_mean():
    assert Spread().as_dict() == {"mean": None, "sd": None, "min": None, "max": None}


def test_a_split_is_told_as_in_table_2(tmp_path):
    entry = {"id": "1", "title": "t", "text": "x", "date": 2009}
    questions = [
        headline_question("1", user=1, profile=[entry] * 3, input=headline_input("one two")),
        headline_question("2", user=1, profile=[entry], input=headline_input("one\n two  three four")),
    ]
    golds = outputs("LaMP_4", {"1": "a b c", "2": "a"})
    told = split_statistics(write(tmp_path / "q", questions), write(tmp_path / "o", golds)).as_dict()
    assert told == {
        "task": "LaMP-4",
        "separation": "time",
        "questions": 2,
        "users": 1,
        "profile_entries": 4,
        "profile_size": {"mean": 2.0, "sd": 1.0, "min": 1, "max": 3},
        "input_words": {"mean": 10.0, "sd": 1.0, "min": 9, "max": 11},
        "golds": 2,
        "output_words": {"mean": 2.0, "sd": 1.0, "min": 1, "max": 3},
    }


@pytest.mark.parametrize(
    ("golds", "expected"),
    [
        ({"1": "x", "3": "y", "2": "z"}, 'dev_outputs.json, field "id": 1 gold is for unknown questions: 3'),
        ({"1": "x"}, 'dev_outputs.json, field "id": 1 question has no gold: 2'),
    ],
)
def test_golds_must_be_those_of_the_questions(tmp_path, golds, expected):
    questions = write(tmp_path / "dev_questions.json", [tweet_question("1"), tweet_question("2")])
    with pytest.raises(LampProblem) as problem:
        split_statistics(questions, write(tmp_path / "dev_outputs.json", outputs("LaMP_7", golds)))
    assert expected in str(problem.value)
