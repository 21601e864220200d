"""Imports as pages lead through them: each step stands in the row, and the result is the command's."""

import errno
import io
import os
import threading
import time
import zipfile

import pytest
from django.db import connection, transaction

from common.objects import get_store
from eval_app import import_requests
from eval_app.dataset_imports import (
    ImportNotReady,
    cancel_work,
    choose_upload,
    delete_import,
    files_here,
    place_for_upload,
    remove_file,
    request_check,
    start_import,
)
from eval_app.import_checks import check_ended
from eval_app.import_sweeps import _end_checks, _end_imports, _forget_samples
from eval_app.importing import Order, Source, import_split
from eval_app.models import Dataset, DatasetImport, DatasetSplit, ImportProblem, Upload
from eval_app.uploads import create_upload
from jobs.models import Job
from jobs.runner import run_waiting
from tests.eval_app.importing_pages import as_bytes, bring, checked, draft
from tests.lamp.lamp_files import outputs, tweet_question, write
from tests.locks import somebody_waits
from users_app.audit import INSTALLATION

pytestmark = pytest.mark.django_db(transaction=True)

QUESTIONS = [tweet_question("1"), tweet_question("2")]
GOLDS = outputs("LaMP_7", {"1": "one", "2": "two"})


@pytest.fixture(autouse=True)
def uploads_deleted(db):
    yield
    get_store().delete_prefix("uploads/")


def start(made):
    start_import(workspace=made.workspace, dataset_import_id=made.pk, by=INSTALLATION)


def imported(made):
    start(made)
    run_waiting(["import_dataset"])
    made.refresh_from_db()
    return made


def task_folder(**splits):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in splits.items():
            archive.writestr(f"LaMP_7/{name}.json", as_bytes(content))
    return packed.getvalue()


def test_the_check_tells_what_the_files_hold_and_stores_nothing_of_them(workspace):
    made = checked(workspace, QUESTIONS, GOLDS)
    assert made.state == "checked"
    [finding] = made.findings
    assert (finding["split"], finding["problems"], finding["standing"]) == ("dev", 0, None)
    assert (finding["statistics"]["task"], finding["statistics"]["questions"]) == ("LaMP-7", 2)
    assert [sample["gold"] for sample in made.samples["dev"]] == ["one", "two"]
    assert not DatasetSplit.objects.exists()


def test_every_problem_is_kept_with_its_row(workspace):
    made = checked(workspace, [tweet_question("1"), {"id": "2"}, 3, tweet_question("1")])
    rows = list(ImportProblem.objects.filter(dataset_import=made).order_by("position"))
    assert [(one.split, one.file, one.row, one.question_id, one.field) for one in rows] == [
        ("dev", "dev_questions.json", 2, "2", "input"),
        ("dev", "dev_questions.json", 3, "", ""),
        ("dev", "dev_questions.json", 4, "1", "id"),
    ]


@pytest.mark.parametrize(
    ("questions", "golds", "wrong"),
    [
        ([tweet_question("1", profile=[{"id": "x"}])], None, ["profile[0].text"]),
        (QUESTIONS[:1], {"task": "LaMP_7", "golds": [{"id": "1", "output": None}]}, ["output"]),
    ],
)
def test_files_of_which_nothing_is_right_are_told_too(workspace, questions, golds, wrong):
    made = checked(workspace, questions, golds)
    problems = ImportProblem.objects.filter(dataset_import=made).order_by("position")
    assert (made.state, [problem.field for problem in problems]) == ("checked", wrong)


def test_what_has_problems_is_not_imported(workspace):
    made = checked(workspace, [3])
    with pytest.raises(ImportNotReady, match="found problems"):
        start(made)


def test_what_was_not_checked_is_not_imported(workspace):
    made = draft(workspace)
    bring(made, "questions", QUESTIONS)
    with pytest.raises(ImportNotReady, match="cannot be done now"):
        start(made)


def test_an_import_through_pages_is_the_command_s(workspace, tmp_path):
    made = imported(checked(workspace, QUESTIONS, GOLDS))
    assert (made.state, made.samples, Upload.objects.count()) == ("done", None, 0)
    order = Order(
        workspace=workspace,
        dataset="mine",
        split="dev",
        questions=Source(write(tmp_path / "q", QUESTIONS), "q"),
        outputs=Source(write(tmp_path / "o", GOLDS), "o"),
    )
    again = import_split(order)
    assert (again.changed, again.split_id) == (False, made.report[0]["result"]["split_id"])


def test_the_check_says_what_stands_already(workspace):
    imported(checked(workspace, QUESTIONS, GOLDS))
    again = checked(workspace, QUESTIONS, GOLDS)
    assert again.findings[0]["standing"]["version"] == 1


def test_an_archive_brings_all_its_splits(workspace):
    packed = task_folder(
        dev_questions=QUESTIONS, dev_outputs=GOLDS, train_questions=QUESTIONS[:1], test_questions=QUESTIONS
    )
    made = imported(checked(workspace, packed, source="archive", split=""))
    assert (made.state, [one["split"] for one in made.report]) == ("done", ["train", "dev", "test"])
    stored = DatasetSplit.objects.order_by("split").values_list("split", "question_count", "has_golds")
    assert list(stored) == [("dev", 2, True), ("test", 2, False), ("train", 1, False)]


def test_of_an_archive_one_split_can_be_imported_alone_with_the_files_own_digest(workspace):
    packed = task_folder(dev_questions=QUESTIONS, dev_outputs=GOLDS, train_questions=QUESTIONS)
    from_archive = imported(checked(workspace, packed, source="archive"))
    from_files = checked(workspace, QUESTIONS, GOLDS)
    assert len(from_archive.report) == 1
    assert from_files.findings[0]["standing"]["split_id"] == from_archive.report[0]["result"]["split_id"]


def test_a_hostile_archive_leaves_a_draft_with_the_reason(workspace):
    made = checked(workspace, task_folder(**{"../../dev_questions": QUESTIONS}), source="archive")
    assert (made.state, "leads out" in made.error) == ("draft", True)


def test_an_upload_that_was_broken_off_begins_again_at_the_same_place(workspace):
    made = draft(workspace)
    told = {"workspace": workspace, "dataset_import_id": made.pk, "place": "questions", "name": "q.json", "size": 9}
    place_for_upload(**told)
    first = Upload.objects.get()
    place_for_upload(**told)
    assert Upload.objects.get() == first


def test_another_file_takes_the_place_of_the_one_before(workspace):
    made = draft(workspace)
    bring(made, "questions", QUESTIONS)
    bring(made, "questions", QUESTIONS[:1])
    assert Upload.objects.get().size == len(as_bytes(QUESTIONS[:1]))
    assert [here.whole for here in files_here(dataset_import=made)] == [True]


def test_another_file_must_be_checked_again(workspace):
    made = checked(workspace, [3])
    bring(made, "questions", QUESTIONS)
    assert (made.state, made.findings, ImportProblem.objects.count()) == ("draft", None, 0)


def test_files_that_have_not_come_are_not_checked(workspace):
    made = draft(workspace)
    told = {"workspace": workspace, "dataset_import_id": made.pk}
    with pytest.raises(ImportNotReady, match="is missing"):
        request_check(**told)
    place_for_upload(**told, place="questions", name="q.json", size=9)
    with pytest.raises(ImportNotReady, match="has not come whole"):
        request_check(**told)


def test_a_file_of_the_bucket_can_be_chosen(workspace):
    bring(other := draft(workspace), "questions", QUESTIONS)
    made = draft(workspace)
    upload = Upload.objects.get()
    choose_upload(workspace=workspace, dataset_import_id=made.pk, place="questions", upload_id=upload.pk)
    delete_import(workspace=workspace, dataset_import_id=other.pk)
    made.refresh_from_db()
    assert [here.whole for here in files_here(dataset_import=made)] == [True]


def test_a_file_of_another_workspace_cannot(workspace, mallory):
    with transaction.atomic():
        upload = create_upload(workspace=mallory.workspace, name="q", size=1)
    made = draft(workspace)
    with pytest.raises(Upload.DoesNotExist):
        choose_upload(workspace=workspace, dataset_import_id=made.pk, place="questions", upload_id=upload.pk)


def test_another_workspace_s_import_does_not_exist(workspace, mallory):
    made = draft(workspace)
    told = {"workspace": mallory.workspace, "dataset_import_id": made.pk}
    for step in (request_check, cancel_work, delete_import):
        with pytest.raises(DatasetImport.DoesNotExist):
            step(**told)
    with pytest.raises(DatasetImport.DoesNotExist):
        remove_file(**told, place="questions")
    with pytest.raises(DatasetImport.DoesNotExist):
        start_import(**told, by=INSTALLATION)


def test_a_cancelled_check_leaves_the_draft(workspace):
    made = draft(workspace)
    bring(made, "questions", QUESTIONS)
    request_check(workspace=workspace, dataset_import_id=made.pk)
    cancel_work(workspace=workspace, dataset_import_id=made.pk)
    made.refresh_from_db()
    assert (made.state, made.error) == ("draft", "")


def test_a_cancelled_import_keeps_its_files_and_can_be_checked_again(workspace):
    made = checked(workspace, QUESTIONS, GOLDS)
    start(made)
    cancel_work(workspace=workspace, dataset_import_id=made.pk)
    made.refresh_from_db()
    assert made.state == "cancelled"
    request_check(workspace=workspace, dataset_import_id=made.pk)
    run_waiting(["check_import"])
    made.refresh_from_db()
    assert imported(made).state == "done"


def test_a_deleted_draft_takes_its_files_along_and_leaves_what_was_imported(workspace):
    made = imported(checked(workspace, QUESTIONS, GOLDS))
    bring(unwanted := draft(workspace), "questions", QUESTIONS)
    for one in (made, unwanted):
        delete_import(workspace=workspace, dataset_import_id=one.pk)
    assert (DatasetImport.objects.count(), Upload.objects.count(), Dataset.objects.count()) == (0, 0, 1)
    assert list(get_store().list("uploads/")) == []


def test_texts_that_were_shown_go_with_the_upload(workspace):
    made = checked(workspace, QUESTIONS, GOLDS)
    _forget_samples()
    made.refresh_from_db()
    assert made.samples
    remaining = Upload.objects.order_by("pk").first()
    Upload.objects.exclude(pk=remaining.pk).delete()
    _forget_samples()
    made.refresh_from_db()
    assert made.samples is None


def test_the_job_of_a_check_holds_no_text(workspace):
    checked(workspace, QUESTIONS, GOLDS)
    assert Job.objects.get().result == {"splits": 1, "problems": 0}


def test_what_a_dead_process_owed_is_made_up_for(workspace):
    checking = draft(workspace)
    importing = draft(workspace)
    DatasetImport.objects.filter(pk=checking.pk).update(state="checking")
    DatasetImport.objects.filter(pk=importing.pk).update(state="importing", import_id="f" * 32)
    _end_checks()
    _end_imports()
    told = [(one.state, bool(one.error)) for one in DatasetImport.objects.order_by("pk")]
    assert told == [("draft", True), ("failed", True)]


def test_a_late_end_of_one_check_leaves_the_next_alone(workspace):
    made = draft(workspace)
    bring(made, "questions", QUESTIONS)
    told = {"workspace": workspace, "dataset_import_id": made.pk}
    request_check(**told)
    cancel_work(**told)
    DatasetImport.objects.filter(pk=made.pk).update(state="checking")

    def end():
        try:
            check_ended(f"import-check:{made.pk}")
        finally:
            connection.close()

    late = threading.Thread(target=end)
    with transaction.atomic():
        DatasetImport.objects.filter(pk=made.pk).update(state="draft")
        late.start()
        wait_for_a_waiting_one()
        request_check(**told)
    late.join()
    made.refresh_from_db()
    assert made.state == "checking"


def wait_for_a_waiting_one():
    """Until somebody waits for a row's lock."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        if somebody_waits():
            return
        time.sleep(0.02)
    raise AssertionError("nobody waits")


def test_a_disk_that_is_full_while_an_archive_is_taken_out_is_no_room(workspace, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(import_requests, "take_out", full)
    checked(workspace, task_folder(dev_questions=QUESTIONS), source="archive")
    assert "has no room for them" in Job.objects.get().error_message


def test_work_under_way_is_left_alone_by_the_sweep(workspace):
    made = checked(workspace, QUESTIONS, GOLDS)
    start(made)
    _end_checks()
    _end_imports()
    made.refresh_from_db()
    assert made.state == "importing"


def test_if_one_split_of_an_archive_fails_the_others_stand_and_the_archive_is_kept(workspace, monkeypatch):
    made = checked(
        workspace, task_folder(dev_questions=QUESTIONS, test_questions=QUESTIONS), source="archive", split=""
    )
    start(made)
    Job.objects.filter(kind="import_dataset", payload__split="test").update(
        payload={**Job.objects.get(payload__split="test", kind="import_dataset").payload, "split": "train"}
    )
    run_waiting(["import_dataset"])
    made.refresh_from_db()
    assert (made.state, "holds no train_questions.json" in made.error) == ("failed", True)
    assert [one["state"] for one in made.report] == ["done", "failed"]
    assert Upload.objects.get().import_id == ""
