"""Imports through pages: each step is a form, and whoever comes back finds the step that it is at."""

import csv
import io
import urllib.request

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.test.utils import CaptureQueriesContext

from common.objects import ObjectStoreUnavailable, get_store
from eval_app.models import DatasetImport, DatasetSplit, ImportProblem
from eval_app.views import imports as views
from jobs.runner import run_waiting
from tests.eval_app.importing_pages import as_bytes, bring, checked, draft
from tests.lamp.lamp_files import outputs, tweet_question
from users_app.models import Membership
from users_app.services import set_role

pytestmark = pytest.mark.django_db(transaction=True)

QUESTIONS = [tweet_question("1"), tweet_question("2")]
GOLDS = outputs("LaMP_7", {"1": "one", "2": "two"})
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture(autouse=True)
def uploads_deleted(db):
    yield
    get_store().delete_prefix("uploads/")


@pytest.fixture
def browser(workspace):
    """A researcher of acme."""
    user = get_user_model().objects.create_user("rita")
    set_role(workspace=workspace, user_id=user.pk, role=Membership.Role.RESEARCHER)
    client = Client()
    client.force_login(user)
    return client


def address(made, more=""):
    return f"/w/acme/imports/{made.pk}/{more}"


def text(answer):
    return answer.content.decode()


def press(browser, made, step, **told):
    answer = browser.post(address(made), {"step": step, **told}, follow=True)
    made.refresh_from_db()
    return text(answer)


def upload(browser, made, place, content, **told):
    body = {"place": place, "name": f"dev_{place}.json", "size": len(as_bytes(content)), **told}
    return browser.post(address(made, "upload/"), body)


def test_from_the_first_word_to_the_report(browser):
    asked = {"dataset": "mine", "split": "dev", "source": "files"}
    begun = browser.post("/w/acme/imports/new/", asked)
    made = DatasetImport.objects.get()
    assert begun.headers["Location"] == address(made)
    for place, content in (("questions", QUESTIONS), ("outputs", GOLDS)):
        url = upload(browser, made, place, content).json()["url"]
        with urllib.request.urlopen(urllib.request.Request(url, data=as_bytes(content), method="PUT")):
            pass
    press(browser, made, "check")
    assert made.state == "checking"
    run_waiting(["check_import"])
    page = text(browser.get(address(made)))
    assert ("LaMP-7, user-based" in page, "CC BY-NC-SA 4.0" in page, "in order" in page) == (True, True, True)
    press(browser, made, "start")
    run_waiting(["import_dataset"])
    page = text(browser.get(address(made)))
    assert ("Report" in page, "Look at the dataset" in page) == (True, True)
    assert DatasetSplit.objects.get().question_count == 2


def test_who_began_it_is_recorded(browser):
    browser.post("/w/acme/imports/new/", {"dataset": "mine", "split": "dev", "source": "files"})
    assert DatasetImport.objects.get().begun_by == "rita"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"dataset": "no/slug"}, "letters, digits"),
        ({"dataset": ""}, "required"),
        ({"split": ""}, "Say which split"),
        ({"split": "all"}, "valid choice"),
        ({"source": "ftp"}, "valid choice"),
        ({"task": "LaMP-99"}, "valid choice"),
    ],
)
def test_what_cannot_be_is_told_beside_its_field(browser, wrong, said):
    answer = browser.post("/w/acme/imports/new/", {"dataset": "mine", "split": "dev", "source": "files", **wrong})
    assert (answer.status_code, said in text(answer), DatasetImport.objects.count()) == (422, True, 0)


def test_the_dataset_can_be_named_in_the_address(browser):
    assert 'value="mine"' in text(browser.get("/w/acme/imports/new/?dataset=mine"))


def test_the_paper_s_numbers_stand_beside_a_file_s(browser, workspace):
    questions = [
        tweet_question(str(n), user_id="u", profile=[{"id": "1", "text": "hello", "date": 2009}]) for n in range(2)
    ]
    page = text(browser.get(address(checked(workspace, questions))))
    assert ("15.71 ± 14.86" in page, "1,498" in page, "1.00 ± 0.00" in page) == (True, True, True)


def test_the_first_questions_are_shown_and_never_run(browser, workspace):
    hostile = [tweet_question("1", profile=[{"id": "1", "text": SCRIPT}]) | {"input": QUESTIONS[0]["input"] + SCRIPT}]
    page = text(browser.get(address(checked(workspace, hostile, outputs("LaMP_7", {"1": SCRIPT})))))
    assert (SCRIPT in page, page.count("&lt;script&gt;alert(1)&lt;/script&gt;")) == (False, 3)


def test_problems_are_listed_with_their_rows_and_bar_the_import(browser, workspace):
    made = checked(workspace, [tweet_question("1"), {"id": SCRIPT}])
    page = text(browser.get(address(made)))
    assert ("1 problem" in page, SCRIPT in page, "Import 1 split" in page) == (True, False, False)
    assert "found problems" in press(browser, made, "start")
    assert not DatasetSplit.objects.exists()


def test_all_problems_can_be_downloaded(browser, workspace):
    made = checked(workspace, [tweet_question("1"), {"id": "=1+1"}, 3])
    answer = browser.get(address(made, "problems.csv"))
    rows = list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode())))
    assert rows[0] == ["split", "file", "row", "question", "field", "problem", "what to do"]
    assert [row[:4] for row in rows[1:]] == [
        ["dev", "dev_questions.json", "2", "'=1+1"],
        ["dev", "dev_questions.json", "3", ""],
    ]


def test_of_very_many_problems_the_page_shows_the_first(browser, workspace, monkeypatch):
    monkeypatch.setattr(views, "_PROBLEMS_SHOWN", 2)
    page = text(browser.get(address(checked(workspace, [tweet_question("1"), 1, 2, 3]))))
    assert ("The first 2 of 3" in page, page.count("is not an object")) == (True, 2)


def test_progress_is_a_part_of_the_page_that_asks_again(browser, workspace):
    made = draft(workspace)
    bring(made, "questions", QUESTIONS)
    press(browser, made, "check")
    part = browser.get(address(made, "progress/?state=checking"), headers={"HX-Request": "true"})
    assert ("waiting for a worker" in text(part), "<html" in text(part)) == (True, False)
    assert 'hx-trigger="every 1s"' in text(part)


def test_when_the_step_has_changed_the_page_is_loaded_again(browser, workspace):
    made = checked(workspace, QUESTIONS)
    part = browser.get(address(made, "progress/?state=checking"), headers={"HX-Request": "true"})
    assert part.headers["HX-Refresh"] == "true"


def test_a_part_of_a_page_leads_to_the_page(browser, workspace):
    made = draft(workspace)
    for part in ("progress/", "upload/"):
        assert browser.get(address(made, part)).headers["Location"] == address(made)


def test_of_rows_that_are_all_wrong_no_mean_is_shown(browser, workspace):
    page = text(browser.get(address(checked(workspace, [tweet_question("1", profile=[{"id": "x"}])]))))
    assert ("1 problem" in page, "nan" in page.lower(), "–" in page) == (True, False, True)


def test_what_stays_of_an_archive_stands_beside_the_button_that_cancels_it(browser, workspace):
    made = draft(workspace, source="archive", split="")
    DatasetImport.objects.filter(pk=made.pk).update(state="importing", import_id="f" * 32)
    assert "Splits that are done stay imported" in text(browser.get(address(made)))


def test_a_stopped_check_leaves_the_files(browser, workspace):
    made = draft(workspace)
    bring(made, "questions", QUESTIONS)
    press(browser, made, "check")
    page = press(browser, made, "cancel")
    assert (made.state, "dev_questions.json" in page) == ("draft", True)


def test_a_file_of_the_bucket_can_be_chosen_and_removed(browser, workspace):
    bring(other := draft(workspace), "questions", QUESTIONS)
    made = draft(workspace)
    number = other.files["questions"]["upload_id"]
    press(browser, made, "choose", place="questions", upload=number)
    assert made.files["questions"]["upload_id"] == number
    press(browser, made, "remove", place="questions")
    assert made.files == {}


@pytest.mark.parametrize("wrong", ["", "x", "0", "999999", "9" * 40, "-1", "²"])
def test_a_file_that_is_not_there_cannot_be_chosen(browser, workspace, wrong):
    page = press(browser, draft(workspace), "choose", place="questions", upload=wrong)
    assert "not in the object store any more" in page


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ({"size": 0}, 422),
        ({"size": "x"}, 422),
        ({"size": 10**12}, 422),
        ({"place": "archive"}, 409),
        ({"place": "../x"}, 409),
    ],
)
def test_a_file_that_cannot_be_is_refused_with_the_remedy(browser, workspace, told, status):
    answer = upload(browser, draft(workspace), **{"place": "questions", "content": QUESTIONS, **told})
    assert (answer.status_code, answer.json()["message"].endswith(".")) == (status, True)


def test_a_file_s_name_is_made_fit_for_messages(browser, workspace):
    made = draft(workspace)
    upload(browser, made, "questions", QUESTIONS, name="a\n\0b‮" + "c" * 300)
    made.refresh_from_db()
    assert made.files["questions"]["name"] == "c" * 255


def test_too_many_uploads_are_refused_with_the_remedy(browser, workspace, settings):
    settings.UPLOADS_AT_ONCE = 1
    made = draft(workspace)
    upload(browser, made, "questions", QUESTIONS)
    answer = upload(browser, made, "outputs", GOLDS)
    assert (answer.status_code, "Delete an import" in answer.json()["message"]) == (409, True)


def test_an_object_store_that_is_away_is_told(browser, workspace, monkeypatch):
    made = draft(workspace)
    bring(made, "questions", QUESTIONS)

    def away(self, key):
        raise ObjectStoreUnavailable("The object store cannot be reached.")

    monkeypatch.setattr("common.objects.ObjectStore.stat", away)
    assert "The object store cannot be reached." in text(browser.get(address(made)))


def test_an_unknown_step_is_refused(browser, workspace):
    assert browser.post(address(draft(workspace)), {"step": "fly"}).status_code == 400


def test_a_step_out_of_turn_is_refused_with_the_reason(browser, workspace):
    assert "cannot be done now: the import waits for its files" in press(browser, draft(workspace), "start")


def test_a_deleted_import_is_gone_from_the_list(browser, workspace):
    made = draft(workspace)
    answer = browser.post(address(made), {"step": "delete"}, follow=True)
    assert ("is deleted" in text(answer), "Nothing has been imported yet" in text(answer)) == (True, True)


def test_the_list_has_drafts_and_what_commands_imported(browser, workspace, tmp_path):
    from eval_app.import_requests import request_import
    from tests.lamp.lamp_files import write

    draft(workspace, dataset="drafted")
    request_import(
        workspace=workspace, dataset="commanded", split="dev", questions=write(tmp_path / "q.json", QUESTIONS)
    )
    run_waiting(["import_dataset"])
    page = text(browser.get("/w/acme/imports/"))
    assert ("drafted" in page, "commanded" in page, "q.json" in page) == (True, True, True)
    done = text(browser.get("/w/acme/imports/?state=done"))
    assert ("drafted" in done, "commanded" in done) == (False, True)


@pytest.mark.parametrize(
    "query", ["state=x", "before=x", "before=" + "9" * 40, "after=x", "after=" + "9" * 40, "state[]=1"]
)
def test_a_query_that_means_nothing_is_passed_over(browser, workspace, query):
    draft(workspace)
    answer = browser.get(f"/w/acme/imports/?{query}")
    assert (answer.status_code, "Import " in text(answer)) == (200, True)


def test_pages_ask_little_of_the_database(browser, workspace, django_db_blocker):
    from django.db import connection

    made = checked(workspace, QUESTIONS, GOLDS)
    ImportProblem.objects.bulk_create(
        ImportProblem(dataset_import=made, position=n, split="dev", file="f", message="m", remedy="r")
        for n in range(500)
    )
    for page in ("/w/acme/imports/", "/w/acme/imports/new/", address(made)):
        with CaptureQueriesContext(connection) as queries:
            assert browser.get(page).status_code == 200
        assert len(queries) <= 20, page
