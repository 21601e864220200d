"""Imports, from files to rows: parse, plan, act."""

import json
import os
from pathlib import Path

import pytest
from django.db import connection, connections, transaction

from eval_app.importing import Order, Source, find_standing, import_split
from eval_app.models import Dataset, DatasetSplit, Question
from lamp.catalogue import get_task
from lamp.problems import LampProblem
from tests.lamp.lamp_files import headline_question, outputs, truth, tweet_question, write
from users_app.documents import document_digest
from users_app.models import Document, EndUser, Workspace

pytestmark = pytest.mark.django_db


@pytest.fixture
def workspace():
    return Workspace.objects.create(slug="lab", name="Lab")


@pytest.fixture
def order(workspace, tmp_path):
    """Makes an order of the content of files."""

    def make(questions, golds=None, oracle=None, *, split="dev", dataset="lamp", **more) -> Order:
        path = questions if isinstance(questions, Path) else write(tmp_path / "dev_questions.json", questions)
        source = None if golds is None else Source(write(tmp_path / "dev_outputs.json", golds), "dev_outputs.json")
        known = None if oracle is None else Source(write(tmp_path / "truth.json", oracle), "truth.json")
        return Order(workspace, dataset, split, Source(path, "dev_questions.json"), source, known, **more)

    return make


def everything_stored() -> dict[str, list]:
    return {
        model.__name__: list(model.objects.order_by("pk").values())
        for model in (Workspace, EndUser, Document, Dataset, DatasetSplit, Question)
    }


def entry(entry_id, title, date="2017-01-07"):
    return {"id": entry_id, "title": title, "text": f"about {title}", "date": date}


def test_a_question_keeps_its_profile_as_in_the_file_repetitions_included(order):
    odd = '\t"quoted" \\ &amp; 😀 \r\n '
    profile = [{"id": "a", "text": odd}, {"id": "b", "text": "plain"}, {"id": 'c"\\', "text": odd}]
    import_split(order([tweet_question(7, profile=profile, input="It is: " + odd)], outputs("LaMP_7", {"7": odd})))
    question = Question.objects.get()
    assert (question.external_id, question.id_is_integer, question.input, question.gold) == (
        "7",
        True,
        "It is: " + odd,
        odd,
    )
    assert question.entry_ids == ["a", "b", 'c"\\']
    texts = Document.objects.in_bulk(question.document_ids)
    assert [texts[pk].fields for pk in question.document_ids] == [{"text": odd}, {"text": "plain"}, {"text": odd}]
    assert question.end_user.external_id == "lamp/LaMP-7/dev/7"


def test_documents_carry_the_digest_and_the_date_by_which_they_are_found(order):
    import_split(order([headline_question(profile=[entry("1", "a", "2017-01-07"), entry("2", "b", 2009)])]))
    first, second = Document.objects.order_by("fields__title")
    assert (first.date_key, second.date_key) == ([2017, 1, 7], [2009])
    assert bytes(first.digest) == document_digest(first.fields)
    assert first.task == "LaMP-4"


def test_questions_of_one_user_share_documents_and_keep_their_snapshots(order):
    a, b, c = entry("1", "a"), entry("2", "b"), entry("1", "c")
    questions = [
        headline_question("1", user=5, profile=[a]),
        headline_question("2", user=6, profile=[a]),
        headline_question("3", user=5, profile=[a, b, a, c]),
    ]
    done = import_split(order(questions))
    assert (done.end_users, done.documents, done.entries, done.new_documents) == (2, 4, 6, 4)
    first, other, last = Question.objects.order_by("position")
    assert first.end_user.external_id == "lamp/LaMP-4/5"
    assert last.document_ids[0] == last.document_ids[2] == first.document_ids[0]
    assert len(set(last.document_ids)) == 3
    assert other.document_ids != first.document_ids


def test_the_split_says_what_it_holds(order):
    import_split(order([headline_question("1")], outputs("LaMP_4", {"1": "A headline"})))
    split = DatasetSplit.objects.get()
    assert (split.task, split.separation, split.version, split.split) == ("LaMP-4", "time", 1, "dev")
    assert (split.question_count, split.end_user_count, split.document_count, split.entry_count) == (1, 1, 1, 1)
    assert (split.has_golds, split.has_dates) == (True, True)


def test_a_split_without_golds_and_dates_says_so(order):
    import_split(order([tweet_question("1")]))
    split = DatasetSplit.objects.get()
    assert (split.has_golds, split.has_dates, split.separation) == (False, False, "user")
    assert Question.objects.get().gold is None


def test_the_same_files_again_change_nothing_and_say_so(order):
    asked = order([tweet_question("1")], outputs("LaMP_7", {"1": "x"}))
    import_split(asked)
    before = everything_stored()
    again = import_split(asked)
    assert (again.changed, again.version, again.questions) == (False, 1, 1)
    assert everything_stored() == before


def test_a_changed_file_is_the_next_version_and_leaves_the_first_as_it_was(order):
    first = import_split(order([headline_question("1", profile=[entry("1", "a")])]))
    kept = list(Question.objects.values())
    second = import_split(order([headline_question("1", profile=[entry("1", "a"), entry("2", "b")])]))
    assert (first.version, second.version, second.new_documents, second.new_end_users) == (1, 2, 1, 0)
    assert list(Question.objects.filter(split=first.split_id).values()) == kept


def test_changed_golds_alone_make_the_next_version(order):
    import_split(order([tweet_question("1")], outputs("LaMP_7", {"1": "x"})))
    assert import_split(order([tweet_question("1")], outputs("LaMP_7", {"1": "y"}))).version == 2


def test_two_splits_of_one_task_share_the_user_but_not_the_questions(order):
    import_split(order([headline_question("1", user=5)], split="train"))
    import_split(order([headline_question("2", user=5)], split="dev"))
    assert EndUser.objects.count() == 1
    assert Question.objects.count() == 2


def test_user_12_of_one_task_is_not_user_12_of_another(order):
    import_split(order([headline_question("1", user=12)]))
    abstract = {"id": "1", "title": "t", "abstract": "a", "date": 2009}
    text = get_task("LaMP-5").input.fill({"abstract": "a"})
    import_split(order([{"id": "1", "input": text, "profile": [abstract], "user_id": 12}]))
    assert set(EndUser.objects.values_list("external_id", flat=True)) == {"lamp/LaMP-4/12", "lamp/LaMP-5/12"}


def test_a_users_id_cannot_name_somebody_else(order):
    import_split(order([tweet_question("7")]))
    dated = {"id": "1", "text": "mine", "date": 2009}
    import_split(order([tweet_question("1", profile=[dated], user_id="dev/7")]))
    assert set(EndUser.objects.values_list("external_id", flat=True)) == {"lamp/LaMP-7/dev/7", "lamp/LaMP-7/dev%2F7"}


def test_another_workspace_has_its_own_people(order, workspace):
    import_split(order([tweet_question("1")]))
    other = Workspace.objects.create(slug="other", name="Other")
    asked = order([tweet_question("1")])
    done = import_split(Order(other, asked.dataset, asked.split, asked.questions))
    assert (done.changed, done.new_documents, done.new_end_users) == (True, 1, 1)


def test_an_empty_profile_still_makes_a_person(order):
    import_split(order([tweet_question("1", profile=[])]))
    assert Question.objects.get().document_ids == []
    assert EndUser.objects.count() == 1


@pytest.mark.parametrize(
    ("questions", "golds", "expected"),
    [
        (b"hello", None, "dev_questions.json: not JSON"),
        (b'[{"id": "1"', None, "the file ends in the middle"),
        ([tweet_question("1"), tweet_question("1")], None, "is the id of an earlier question too"),
        ([tweet_question("1"), tweet_question("2", profile={})], None, 'question 2, field "profile": is not a list'),
        ([tweet_question("1"), tweet_question("2", input="x")], None, "the input lacks"),
        ([tweet_question("1"), tweet_question("2", input="\0")], None, "NUL"),
        ([tweet_question("1")], outputs("LaMP_4", {"1": "x"}), 'dev_outputs.json, field "task": names another task'),
        ([tweet_question("1")], outputs("LaMP_7", {"1": "x", "9": "y"}), "1 gold is for unknown questions: 9"),
        ([tweet_question("1"), tweet_question("2")], outputs("LaMP_7", {"1": "x"}), "1 question has no gold: 2"),
        ([tweet_question("1")], {"task": "LaMP_7", "golds": {"1": "x"}}, 'field "golds": is not a list'),
        ([tweet_question("1")], {"task": "LaMP_7"}, 'field "golds": is missing'),
        ([tweet_question("1")], [1], "a list where an object"),
        (
            [tweet_question("1")],
            b'{"task": "LaMP_7", "golds": [{"id": "1", "output": "\xff',
            "bytes that are not UTF-8",
        ),
    ],
)
def test_a_bad_file_leaves_nothing_behind(order, questions, golds, expected):
    before = everything_stored()
    with pytest.raises(LampProblem) as problem:
        import_split(order(questions, golds))
    assert expected in str(problem.value)
    assert everything_stored() == before


class TestTruth:
    QUESTIONS = [tweet_question("1"), tweet_question("2")]
    GOLDS = outputs("LaMP_7", {"1": "x", "2": "y"})
    ORACLE = truth("LaMP_7", dev={"1": "\tan \\ x 😀", "2": ""}, test={"9": "of another split"})

    def answers(self):
        return dict(Question.objects.values_list("external_id", "oracle_answer"))

    def test_the_oracles_answers_are_kept_with_the_questions_of_their_split(self, order):
        done = import_split(order(self.QUESTIONS, self.GOLDS, self.ORACLE))
        assert (done.changed, done.has_oracle, done.new_oracle) == (True, True, True)
        assert self.answers() == {"1": "\tan \\ x 😀", "2": ""}
        assert DatasetSplit.objects.get().has_oracle

    def test_without_a_truth_there_is_none(self, order):
        done = import_split(order(self.QUESTIONS, self.GOLDS))
        assert (done.has_oracle, done.new_oracle, self.answers()) == (False, False, {"1": None, "2": None})

    def test_a_split_that_stands_may_get_its_truth_later(self, order):
        import_split(order(self.QUESTIONS, self.GOLDS))
        asked = order(self.QUESTIONS, self.GOLDS, self.ORACLE)
        assert find_standing(asked) is None
        assert set(self.answers().values()) == {None}
        done = import_split(asked)
        assert (done.changed, done.has_oracle, done.new_oracle, done.version) == (False, True, True, 1)
        assert self.answers()["1"] == "\tan \\ x 😀"
        assert DatasetSplit.objects.count() == 1

    def test_the_same_truth_again_changes_nothing_and_so_does_none(self, order):
        import_split(order(self.QUESTIONS, self.GOLDS, self.ORACLE))
        before = everything_stored()
        for oracle in (self.ORACLE, None):
            asked = order(self.QUESTIONS, self.GOLDS, oracle)
            assert find_standing(asked) == import_split(asked)
            assert everything_stored() == before
        assert (import_split(asked).has_oracle, import_split(asked).new_oracle) == (True, False)

    def test_another_truth_of_the_same_questions_is_refused(self, order):
        import_split(order(self.QUESTIONS, self.GOLDS, self.ORACLE))
        before = everything_stored()
        asked = order(self.QUESTIONS, self.GOLDS, truth("LaMP_7", dev={"1": "other", "2": ""}))
        for attempt in (find_standing, import_split):
            with pytest.raises(LampProblem, match=r"another truth stands for LaMP-7 dev v1: 1 answers differ"):
                attempt(asked)
        assert everything_stored() == before

    @pytest.mark.parametrize("stands", [False, True], ids=["new", "standing"])
    @pytest.mark.parametrize(
        ("oracle", "expected"),
        [
            (truth("LaMP_7", dev={"1": "x"}), 'truth.json, field "id": 1 question has no answer of the oracle: 2'),
            (truth("LaMP_7", dev={"1": "x", "2": "y", "9": "z"}), "1 answer is for unknown questions: 9"),
            (truth("LaMP_4", dev={"1": "x", "2": "y"}), "names another task than LaMP-7"),
            (truth("LaMP_7", test={"1": "x", "2": "y"}), 'field "oracle.dev.answers": is missing'),
            (b'{"task": "LaMP_7", "oracle": {"dev": {"answers": [', "the file ends in the middle"),
        ],
        ids=["too few", "too many", "task", "split", "cut"],
    )
    def test_a_bad_truth_leaves_everything_as_it_was(self, order, stands, oracle, expected):
        if stands:
            import_split(order(self.QUESTIONS, self.GOLDS))
        before = everything_stored()
        with pytest.raises(LampProblem) as problem:
            import_split(order(self.QUESTIONS, self.GOLDS, oracle))
        assert expected in str(problem.value)
        assert everything_stored() == before


def test_an_import_that_breaks_in_the_middle_leaves_nothing_behind(order):
    before = everything_stored()

    def stop(done, total, doing):
        if doing.startswith("storing"):
            raise InterruptedError

    with pytest.raises(InterruptedError):
        import_split(order([tweet_question(str(n)) for n in range(100)]), report=stop)
    assert everything_stored() == before


def test_progress_tells_the_bytes_read(order):
    told = []
    asked = order([tweet_question(str(n)) for n in range(200)])
    import_split(asked, report=lambda done, total, doing: told.append((done, total, doing)))
    size = asked.questions.path.stat().st_size
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert {total for _, total, _ in told} == {size}
    assert told[-1] == (size, size, "committing")


@pytest.fixture
def lamp_data() -> Path:
    folder = os.environ.get("LAMP_DATA")
    if not folder:
        pytest.skip("LAMP_DATA does not name a folder with real LaMP files")
    return Path(folder)


def test_real_lamp_7_is_stored_as_it_is(order, lamp_data, workspace):
    folder = lamp_data / "LaMP_7_dev_user_based"
    questions, golds = folder / "dev_questions.json", folder / "dev_outputs.json"
    asked = Order(workspace, "lamp", "dev", Source(questions, "q"), Source(golds, "o"))
    done = import_split(asked)
    rows = json.loads(questions.read_text())
    wanted = {gold["id"]: gold["output"] for gold in json.loads(golds.read_text())["golds"]}
    assert (done.task, done.separation, done.questions) == ("LaMP-7", "user", 500)
    assert done.entries == sum(len(row["profile"]) for row in rows)
    texts = dict(Document.objects.values_list("pk", "fields__text"))
    stored = {question.external_id: question for question in Question.objects.all()}
    for row in rows:
        question = stored[row["id"]]
        assert (question.input, question.gold) == (row["input"], wanted[row["id"]])
        assert question.entry_ids == [entry["id"] for entry in row["profile"]]
        assert [texts[pk] for pk in question.document_ids] == [entry["text"] for entry in row["profile"]]


def test_the_real_news_sample_is_lamp_2n(order, lamp_data):
    assert import_split(order(lamp_data / "LaMP_2_news_sample" / "dev_questions.json")).task == "LaMP-2N"


@pytest.mark.django_db(transaction=True)
def test_two_imports_of_the_same_files_at_once_make_one_version(order):
    from threading import Thread

    asked = order([headline_question(str(n), user=n % 7) for n in range(200)])
    results = []

    def run():
        try:
            with transaction.atomic():
                results.append(import_split(asked))
        finally:
            connections.close_all()

    threads = [Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(result.changed for result in results) == [False, True]
    assert DatasetSplit.objects.count() == 1


def test_the_temporary_tables_end_with_the_transaction(order):
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_class WHERE relname IN ('import_question', 'staged_document')")
        assert cursor.fetchone() == (0,)
