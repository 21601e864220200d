import json
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lamp.catalogue import CATALOGUE, get_task
from lamp.problems import LampProblem
from lamp.reading import ProfileEntry, read_questions, recognise_separation, recognise_task
from tests.lamp.lamp_files import headline_input, headline_question, tweet_question, write

LONG = "x" * (1 << 20) + "x"
SECRET = "the user's own words"
DEEP = b'[{"id": "7", "input": "a", "profile": [{"id": "1", "text": [["deep"]]}]}]'


def problem(tmp_path, content, *, task=None, separation=None) -> LampProblem:
    path = write(tmp_path / "dev_questions.json", content)
    with pytest.raises(LampProblem) as caught:
        list(read_questions(path, task=task and get_task(task), separation=separation))
    assert str(tmp_path) not in str(caught.value)
    assert caught.value.file == "dev_questions.json"
    return caught.value


def test_a_question_is_handed_out_as_it_stands_in_the_file(tmp_path):
    odd = "\t&amp; 😀  blanks \n"
    profile = [{"id": "a", "text": odd}, {"id": 2, "text": odd}, {"id": "a", "text": ""}]
    path = write(tmp_path / "q.json", [tweet_question(12, profile=profile)])
    [question] = read_questions(path)
    assert (question.id, question.file_id, question.user_id) == ("12", 12, None)
    assert question.profile == (
        ProfileEntry("a", {"text": odd}),
        ProfileEntry("2", {"text": odd}, id_is_integer=True),
        ProfileEntry("a", {"text": ""}),
    )


def test_a_time_based_file_names_its_users_and_keeps_dates(tmp_path):
    path = write(tmp_path / "q.json", [headline_question("1", user=5), headline_question("2", user="x")])
    questions = list(read_questions(path))
    assert [question.user_id for question in questions] == ["5", "x"]
    assert questions[0].profile[0].fields["date"] == "2017-01-07"
    assert recognise_separation(path) == "time"


@pytest.mark.parametrize("date", ["2009", "2017-01-07", 2009])
def test_dates_come_as_years_days_and_numbers(tmp_path, date):
    entry = {"id": "1", "title": "t", "text": "x", "date": date}
    [question] = read_questions(write(tmp_path / "q.json", [headline_question(profile=[entry])]))
    assert question.profile[0].fields["date"] == date


def test_an_empty_profile_is_a_profile(tmp_path):
    [question] = read_questions(write(tmp_path / "q.json", [tweet_question(profile=[])]))
    assert question.profile == ()


def test_fields_that_the_task_does_not_know_are_left_out_and_counted(tmp_path):
    entry = {"id": "1", "text": "hello", "lang": "en"}
    questions = read_questions(write(tmp_path / "q.json", [tweet_question(profile=[entry, entry])]))
    assert next(questions).profile[0].fields == {"text": "hello"}
    assert questions.ignored_fields == {"lang": 2}


@pytest.mark.parametrize("task", CATALOGUE.values(), ids=lambda task: task.key)
def test_every_task_is_recognised_by_its_own_input_and_fields(tmp_path, task):
    values = dict.fromkeys(task.input.fields, "1")
    entry = dict.fromkeys(task.fields, "1") | {"id": "1"}
    path = write(tmp_path / "q.json", [{"id": "1", "input": task.input.fill(values), "profile": [entry]}])
    assert recognise_task(path) == task
    assert [question.id for question in read_questions(path)] == ["1"]


def test_a_task_in_other_words_is_recognised_by_its_fields(tmp_path):
    entry = {"id": "1", "text": "x", "score": 3}
    path = write(tmp_path / "q.json", [{"id": "1", "input": "How many points? review: x", "profile": [entry]}])
    assert recognise_task(path).key == "LaMP-3"


def test_fields_of_two_tasks_with_words_of_neither_are_not_guessed(tmp_path):
    entry = {"id": "1", "text": "x", "title": "y"}
    found = problem(tmp_path, [{"id": "1", "input": "Title of this article: x", "profile": [entry]}])
    assert "fit none of the tasks" in str(found)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"hello", "dev_questions.json: not JSON."),
        (b"", "dev_questions.json: the file ends in the middle."),
        (b"[]", "dev_questions.json: holds no question."),
        (b'[{"id": "1", "input"', 'question 1, field "input": the file ends in the middle.'),
        (json.dumps([tweet_question("7")]).encode()[:-30], "question 7, field"),
        (b'{"id": "1"}', "an object where a list of questions belongs"),
        ([[1]], "the question in row 1: is not an object"),
        ([tweet_question("1"), "text"], "the question in row 2: is not an object"),
        ([tweet_question("1"), tweet_question("1")], 'question 1, field "id": is the id of an earlier question too'),
        ([tweet_question("1"), tweet_question(1)], 'question 1, field "id": is the id of an earlier question too'),
        ([tweet_question("")], 'row 1, field "id": is empty'),
        ([tweet_question(True)], 'row 1, field "id": is neither a text nor a whole number'),
        ([tweet_question("x" * 201)], 'row 1, field "id": is longer than 200 characters'),
        ([{"input": "x", "profile": []}], 'row 1, field "id": is missing'),
        ([{"id": "7", "profile": []}], 'question 7, field "input": is missing'),
        ([{"id": "7", "input": "x"}], 'question 7, field "profile": is missing'),
        ([tweet_question("7", input=5)], 'question 7, field "input": is not a text'),
        ([tweet_question("7", profile={"id": "1"})], 'question 7, field "profile": is not a list'),
        ([tweet_question("7", profile=["x"])], 'question 7, field "profile[0]": is not an object'),
        ([tweet_question("7", profile=[{"id": "1"}])], 'question 7, field "profile[0].text": is missing'),
        ([tweet_question("7", profile=[{"text": "x"}])], 'question 7, field "profile[0].id": is missing'),
        ([tweet_question("7", profile=[{"id": "1", "text": None}])], 'field "profile[0].text": is null, not a text'),
        ([tweet_question("7", profile=[{"id": "1", "text": True}])], 'field "profile[0].text": is a boolean'),
        ([tweet_question("7", profile=[{"id": "1", "text": "x", "date": "today"}])], '"profile[0].date": is no date'),
        ([tweet_question("7", profile=[{"id": "1", "text": "x", "date": None}])], '"profile[0].date": is no date'),
        ([headline_question("7", user=None)], 'question 7, field "user_id": is neither a text nor a whole number'),
        ([headline_question("7"), tweet_question("8")], 'question 8, field "user_id": is missing'),
        ([tweet_question("7"), tweet_question("8", user_id="u")], 'question 8, field "user_id": is there'),
        (
            [headline_question("7", profile=[{"id": "1", "title": "t", "text": "x"}])],
            'question 7, field "profile[0].date": is missing',
        ),
        (
            [tweet_question("6"), tweet_question("7", input="no marker")],
            "question 7, field \"input\": the input lacks ':'",
        ),
        ([tweet_question("7", profile=[{"id": "1", "text": LONG}])], '"profile[0].text": a string longer than 1 MiB'),
        ([tweet_question("6"), tweet_question("7", input=LONG)], 'question 7, field "input": a string longer than 1'),
        (
            [tweet_question("7", profile=[{"id": "1", "text": "a\0"}])],
            'question 7, field "profile[0].text": an escaped NUL',
        ),
        (b'[{"id": "7", "input": "\0"', 'question 7, field "input": a NUL character'),
        ([tweet_question("7", profile=[{"id": "1", "text": "\ud800"}])], "half of a surrogate pair"),
        (b'[{"id": "7", "input": "\xff"}]', 'question 7, field "input": bytes that are not UTF-8'),
        (DEEP, 'question 7, field "profile[0].text": lists or objects inside each other'),
        (b'[{"id": "7", "input": NaN}]', 'question 7, field "input": not JSON'),
        (b'[{"id": "7", "input": 1e999}]', 'question 7, field "input": a number that is not finite'),
        (b'[{"id": "7", "input": %s}]' % (b"1" * 6000), "a whole number of more than 18 digits"),
        (b'[{"id": "7", "input": "a\nb"}]', "a control character inside a string"),
        (json.dumps([tweet_question()]).encode() + b" x", "something stands after the end of the JSON"),
        (b"\xef\xbb\xbf[]", "a byte order mark before the JSON"),
    ],
)
def test_a_bad_file_is_refused_with_a_message_that_says_where_and_what(tmp_path, content, expected):
    assert expected in str(problem(tmp_path, content))


@pytest.mark.parametrize("score", ["six", 0, "6", True, None, "nan", 5.5])
def test_a_score_must_be_a_number_from_1_to_5(tmp_path, score):
    text = CATALOGUE["LaMP-3"].input.fill({"text": "good"})
    row = {"id": "7", "input": text, "profile": [{"id": "1", "text": "x", "score": score}]}
    assert 'question 7, field "profile[0].score": is no number from 1 to 5' in str(problem(tmp_path, [row]))


def test_another_task_than_the_one_asked_for_is_refused(tmp_path):
    found = problem(tmp_path, [headline_question()], task="LaMP-6")
    assert "its inputs are those of LaMP-4, not of LaMP-6" in str(found)


def test_a_task_whose_fields_are_not_there_is_refused(tmp_path):
    row = {"id": "7", "input": "x description: y", "profile": [{"id": "1", "text": "x"}]}
    assert 'field "profile[0].description": is missing' in str(problem(tmp_path, [row], task="LaMP-2"))


def test_a_user_based_file_cannot_be_read_as_time_based(tmp_path):
    found = problem(tmp_path, [tweet_question("7")], separation="time")
    assert 'question 7, field "user_id": is missing' in str(found)


def test_a_time_based_file_can_be_read_as_user_based(tmp_path):
    path = write(tmp_path / "q.json", [headline_question("7")])
    assert next(read_questions(path, separation="user")).user_id is None


def test_no_message_holds_what_a_user_wrote(tmp_path):
    bad = [
        [tweet_question("7", input=SECRET)],
        [tweet_question("7", profile=[{"id": "1", "text": [SECRET]}])],
        [tweet_question("7", profile=[{"id": "1", "text": SECRET, "date": SECRET}])],
        [tweet_question("7", profile=[{"id": "1", "text": SECRET, SECRET: "\0"}])],
        json.dumps([tweet_question("7", input=SECRET)]).encode()[:-20] + b"\x01",
        json.dumps([tweet_question("7", input=SECRET)]).encode()[:-20],
    ]
    for content in bad:
        assert SECRET not in str(problem(tmp_path, content))


@pytest.mark.parametrize("kind", ["missing", "directory", "pipe", "locked"])
def test_an_unreadable_file_is_refused(tmp_path, kind):
    path = tmp_path / "dev_questions.json"
    match kind:
        case "directory":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "locked":
            if os.geteuid() == 0:
                pytest.skip("root may read everything")
            path.write_text("[]")
            path.chmod(0)
    words = {
        "missing": "no such file",
        "directory": "is a directory",
        "pipe": "is not a regular file",
        "locked": "may not",
    }
    with pytest.raises(LampProblem, match=words[kind]):
        read_questions(path)


def test_a_file_of_many_questions_is_read_in_flat_memory(tmp_path):
    import tracemalloc

    row = json.dumps(tweet_question("ID", profile=[{"id": str(n), "text": "word " * 20} for n in range(100)]))
    path = tmp_path / "q.json"
    with path.open("w") as file:
        file.write("[")
        for number in range(600):
            file.write((",\n" if number else "") + row.replace("ID", str(number)))
        file.write("]")
    tracemalloc.start()
    count = sum(1 for _ in read_questions(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 600
    assert path.stat().st_size > 6_000_000
    assert peak < 3_000_000


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_file_damaged_anywhere_is_read_or_refused_and_nothing_else(tmp_path, data):
    odd = [{"id": 1, "text": 'a "b" \\ 😀 \ud7ff', "date": "2017-01-07"}, {"id": "2", "text": ""}]
    good = json.dumps(
        [tweet_question("1", profile=odd), tweet_question(2)], ensure_ascii=data.draw(st.booleans())
    ).encode()
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, min(len(good), start + 4)))
    piece = data.draw(
        st.binary(max_size=4) | st.sampled_from([b'"', b"[", b"}", b"\\u0000", b"\\ud800", b"1e999", b"\\"])
    )
    path = write(tmp_path / "q.json", good[:start] + piece + good[end:])
    questions, refusal = [], ""
    try:
        questions = list(read_questions(path))
    except LampProblem as problem:
        refusal = str(problem)
    assert "\n" not in refusal
    for question in questions:
        json.dumps([question.input, *(entry.fields for entry in question.profile)]).encode()
        assert "\0" not in question.input


def test_a_headline_question_needs_its_marker(tmp_path):
    found = problem(
        tmp_path, [headline_question("1"), headline_question("2", input=headline_input().replace("article:", ""))]
    )
    assert 'question 2, field "input"' in str(found)
