"""Looking at files without importing them: all that is wrong is told, and the rest is counted."""

import pytest

from lamp import examining
from lamp.examining import NamedFile, examine_split
from lamp.statistics import split_statistics
from tests.lamp.lamp_files import headline_question, outputs, truth, tweet_question, write


@pytest.fixture
def examined(tmp_path):
    def look(questions, golds=None, oracle=None, **told):
        def named(name, content):
            return None if content is None else NamedFile(write(tmp_path / name, content), name)

        return examine_split(
            named("q.json", questions), named("o.json", golds), truth=named("t.json", oracle), split="dev", **told
        )

    return look


def places(found):
    return [(problem.file, problem.row, problem.question_id, problem.field) for problem in found.problems]


def test_files_in_order_are_told_as_the_command_tells_them(examined, tmp_path):
    questions = [headline_question(str(n), user=f"u{n % 2}") for n in range(5)]
    golds = outputs("LaMP_4", {str(n): f"headline {n}" for n in range(5)})
    found = examined(questions, golds, truth("LaMP_4", dev={str(n): "x" for n in range(5)}))
    assert (found.problems, found.complete) == ([], True)
    assert found.statistics.as_dict() == split_statistics(tmp_path / "q.json", tmp_path / "o.json").as_dict()


def test_the_first_questions_are_shown_with_their_golds(examined):
    found = examined([tweet_question(str(n)) for n in range(5)], outputs("LaMP_7", {str(n): f"g{n}" for n in range(5)}))
    assert [(sample.question.id, sample.gold) for sample in found.samples] == [("0", "g0"), ("1", "g1"), ("2", "g2")]


def test_every_row_that_is_wrong_is_told_with_its_number(examined):
    questions = [
        tweet_question("1"),
        {"id": "2", "profile": []},
        "no question",
        tweet_question("4", profile=[{"id": "x"}]),
        tweet_question("1"),
    ]
    found = examined(questions)
    assert places(found) == [
        ("q.json", 2, "2", "input"),
        ("q.json", 3, None, None),
        ("q.json", 4, "4", "profile[0].text"),
        ("q.json", 5, "1", "id"),
    ]
    assert (found.complete, found.statistics.questions, found.statistics.users) == (True, 5, 1)


def test_every_gold_that_is_wrong_is_told(examined):
    golds = {"task": "LaMP_7", "golds": [{"id": "1", "output": None}, {"id": "9", "output": "x"}]}
    found = examined([tweet_question("1"), tweet_question("2")], golds)
    assert places(found) == [
        ("o.json", 1, "1", "output"),
        ("o.json", None, "9", "id"),
        ("o.json", None, "2", "id"),
    ]


def test_an_answer_to_nobody_stands_for_no_question_s(examined):
    answers = {"1": "x", "9": "x"}
    found = examined(
        [tweet_question("1"), tweet_question("2")], outputs("LaMP_7", answers), truth("LaMP_7", dev=answers)
    )
    assert places(found) == [
        ("o.json", None, "9", "id"),
        ("o.json", None, "2", "id"),
        ("t.json", None, None, "id"),
        ("t.json", None, None, "id"),
    ]


def test_behind_a_break_in_the_form_nothing_is_read(examined):
    found = examined(b'[{"id": "1", "input": "Paraphrase the following tweet without')
    assert (len(found.problems), found.complete) == (1, False)


def test_another_task_s_outputs_are_told(examined):
    found = examined([tweet_question("1")], outputs("LaMP_4", {"1": "x"}))
    assert places(found) == [("o.json", None, None, "task")]


def test_a_file_of_no_task_is_told(examined):
    found = examined([{"id": "1", "input": "?", "profile": []}])
    assert (found.statistics, len(found.problems)) == (None, 1)


def test_no_more_problems_are_told_than_anybody_reads(examined, monkeypatch):
    monkeypatch.setattr(examining, "MOST_PROBLEMS", 3)
    found = examined([tweet_question("1"), *["no question"] * 10])
    assert (len(found.problems), found.complete) == (3, False)
