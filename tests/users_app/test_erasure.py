"""Erasing a person: afterwards nothing of them is found anywhere, and nothing of anybody else has changed."""

import json
import threading
import time

import pytest
from django.apps import apps
from django.db import IntegrityError, OperationalError, connection, models, transaction

from common.models import IdempotencyRecord
from common.objects import ObjectStore, ObjectStoreUnavailable, get_store
from eval_app.import_requests import request_import
from eval_app.layout import legend
from eval_app.models import Experiment, Prediction, Question, Run
from eval_app.reports import NOBODY_LEFT, build_report, experiment_table
from eval_app.table import table_as_json
from jobs.models import Job
from jobs.runner import run_waiting
from retrieval_app.models import Embedding
from tests import people
from tests.eval_app.stored import a_run, start
from tests.locks import somebody_waits
from tests.people import OF_ALICE, TWEETS, tweets_of
from tests.whereabouts import rows_of, traces
from tests.workers.asked import ask, ask_for_adapter
from training_app.models import Adapter, Generation
from users_app import erasers, erasure_sweep
from users_app.erasure import erase_document, erase_end_user
from users_app.exporting import export_end_user
from users_app.models import AuditEntry, Document, EndUser, ErasureReceipt
from users_app.profiles import NewDocument, put_documents
from users_app.selectors import visible_documents
from workers.forgetting import Forgetting

WORDS_OF_ALICE = [fields["text"] for fields in OF_ALICE]


def erase(end_user):
    return erase_end_user(workspace=end_user.workspace, end_user=end_user)


def words_of(end_user):
    """What would give the person away: their id, their texts, and the digests of these."""
    digests = [
        bytes(digest).hex() for digest in Document.objects.filter(end_user=end_user).values_list("digest", flat=True)
    ]
    return [f"{end_user.external_id}", *(document.fields["text"] for document in tweets_of(end_user)), *digests]


@pytest.fixture
def busy(alice, bob, in_process, settings):
    """Alice and Bob after all that can happen to people here: everything that can be stored of them is."""
    settings.DEFAULT_BASE_MODEL = "small"
    for end_user in (alice, bob):
        name = end_user.external_id
        put_documents(
            workspace=end_user.workspace,
            end_user=end_user,
            documents=[NewDocument(TWEETS, f"{name}-new", {"text": f"one more by {name}", "date": 2020})],
        )
    split = people.split_of(people.questions_of(alice, bob))
    start(split, "none,rag:bm25,peft:8", controls=["swapped"], encoder=None)
    in_process()
    assert Experiment.objects.get().state == "done"
    for end_user in (alice, bob):
        adapter = Adapter.objects.filter(end_user=end_user).first()
        ask(end_user, retriever="bm25", adapter=adapter)
    in_process()
    for end_user in (alice, bob):
        ask(end_user, "still to be answered")
        IdempotencyRecord.objects.create(
            workspace_id=end_user.workspace_id,
            key=f"key {end_user.pk}",
            fingerprint=b"0" * 32,
            end_user_id=end_user.pk,
            resource={"generation": 1},
        )
        b"".join(export_end_user(workspace=end_user.workspace, end_user=end_user))
    return alice, bob


def test_nothing_of_her_is_found_anywhere(busy):
    alice, _ = busy
    number, words, documents = alice.pk, words_of(alice), [document.pk for document in tweets_of(alice)]
    assert len(traces(end_user_id=number, words=words, documents=documents)) > 20
    receipt = erase(alice)
    assert traces(end_user_id=number, words=words, documents=documents) == []
    assert receipt.finished_at is not None


def test_a_bystander_keeps_everything(busy):
    alice, bob = busy
    before = rows_of(bob)
    # What a control answered to his questions with her words in the prompt is hers as much as his, and goes.
    hers = set(Prediction.objects.filter(end_user=bob, swapped_with=alice).values_list("pk", flat=True))
    assert len(hers) > 0
    erase(alice)
    after = rows_of(bob)
    assert set(before) == set(after)
    gone = {table: set(before[table]) - set(after[table]) for table in before}
    assert {table: len(rows) for table, rows in gone.items() if rows} == {"eval_app_prediction.end_user_id": len(hers)}
    assert {
        table: set(after[table]) - set(before[table]) for table in before if set(after[table]) - set(before[table])
    } == {}


def test_the_receipt_says_how_much_and_not_of_whom(busy):
    alice, _ = busy
    receipt = erase(alice)
    receipt.refresh_from_db()
    assert receipt.scope == "end_user"
    assert receipt.prefixes == []
    assert receipt.removed["documents"] == 6
    assert {"adapters", "embeddings", "end users", "generations", "jobs", "objects", "predictions", "questions"} <= set(
        receipt.removed
    )
    assert "alice" not in json.dumps(receipt.removed)


def test_an_ended_experiment_keeps_its_report_and_its_runs_say_how_many_were_erased(busy):
    alice, _ = busy
    report, metrics = Experiment.objects.get().report, dict(Run.objects.values_list("pk", "metrics"))
    erase(alice)
    assert Experiment.objects.get().report == report
    assert dict(Run.objects.values_list("pk", "metrics")) == metrics
    assert set(Run.objects.values_list("erased_end_users", flat=True)) == {1}
    table = table_as_json(experiment_table(experiment=Experiment.objects.get()))
    assert {cell["erased"] for row in table["rows"] for cell in row["cells"].values()} == {1}
    assert "1 erased: of so many users" in legend(experiment_table(experiment=Experiment.objects.get()))


def test_a_run_that_has_not_ended_counts_nobody_as_erased(busy):
    alice, _ = busy
    under_way = Run.objects.earliest("pk")
    Run.objects.filter(pk=under_way.pk).update(state="scoring", finished_at=None)
    erase(alice)
    under_way.refresh_from_db()
    assert under_way.erased_end_users == 0


def test_an_experiment_of_which_nobody_is_left_can_be_reported_again(busy):
    for end_user in busy:
        erase(end_user)
    report = build_report(experiment=Experiment.objects.get())
    assert {cell["reason"] for cells in report["measured"].values() for cell in cells.values()} == {NOBODY_LEFT}


def test_erasing_twice_finds_nobody_the_second_time(alice):
    erase(alice)
    with pytest.raises(EndUser.DoesNotExist):
        erase(alice)
    assert ErasureReceipt.objects.count() == 1


def test_nobody_is_erased_through_another_workspace(alice, mallory):
    with pytest.raises(EndUser.DoesNotExist):
        erase_end_user(workspace=mallory.workspace, end_user=alice)
    assert tweets_of(alice)


def test_who_comes_back_is_a_new_person(alice):
    erase(alice)
    again = people.person(alice.workspace, "alice", OF_ALICE[:1])
    assert again.pk != alice.pk
    assert len(visible_documents(workspace=again.workspace, end_user=again, task=TWEETS)) == 1


class TestEveryModel:
    def leading_to_end_users(self):
        """Every model of ours from which a chain of foreign keys, or a column of the name, leads to an end user."""
        found = {EndUser}
        ours = [
            model for model in apps.get_models() if not model._meta.app_label.startswith(("auth", "admin", "django"))
        ]
        while True:
            more = {
                model
                for model in ours
                if any(
                    field.attname == "end_user_id"
                    or (isinstance(field, models.ForeignKey) and field.related_model in found)
                    for field in model._meta.concrete_fields
                )
            } - found
            if not more:
                return found
            found |= more

    def test_that_leads_to_an_end_user_has_an_eraser(self):
        covered = {model for eraser in erasers.in_order() for model in eraser.models}
        assert {model._meta.label for model in self.leading_to_end_users() - covered} == set()

    def test_that_is_looked_for_includes_the_ones_we_know(self):
        known = {
            EndUser,
            Document,
            AuditEntry,
            Embedding,
            Adapter,
            Generation,
            Question,
            Prediction,
            Job,
            IdempotencyRecord,
        }
        assert known <= self.leading_to_end_users()


class TestFiles:
    def test_go_by_a_sweep_where_the_store_was_away(self, alice, in_process, monkeypatch, caplog):
        ask_for_adapter(alice)
        in_process("train_adapter")
        [adapter] = Adapter.objects.all()

        def away(*_):
            raise ObjectStoreUnavailable("away")

        with monkeypatch.context() as patch:
            patch.setattr(ObjectStore, "delete_prefix", away)
            receipt = erase(alice)
        assert receipt.finished_at is None
        assert "stay for now" in caplog.text
        assert list(get_store().list(adapter.object_prefix))

        ErasureReceipt.objects.update(requested_at="2020-01-01T00:00:00Z")
        erasure_sweep.sweep_erasures()
        run_waiting(["finish_erasure"])
        receipt.refresh_from_db()
        assert receipt.finished_at is not None
        assert not list(get_store().list(adapter.object_prefix))
        assert receipt.prefixes == []

    def test_of_an_upload_that_held_the_person_go_too(self, workspace, tmp_path):
        questions, outputs = tmp_path / "questions.json", tmp_path / "outputs.json"
        entry = {"id": "e1", "text": "seen by nobody else", "date": "2020"}
        rows = [
            {"id": "1", "user_id": name, "input": people.ASK + "hello", "profile": [entry]} for name in ("ann", "ben")
        ]
        questions.write_text(json.dumps(rows[:1]))
        outputs.write_text(json.dumps({"task": "LaMP_7", "golds": [{"id": "1", "output": "hi"}]}))
        for workspace_of in (workspace, people.workspace("elsewhere")):
            request_import(
                workspace=workspace_of,
                dataset="d",
                split="dev",
                questions=questions,
                outputs=outputs,
                keep_source=True,
            )
        run_waiting(["import_dataset"])
        assert set(Job.objects.values_list("state", flat=True)) == {"done"}
        ann = EndUser.objects.get(workspace=workspace, external_id="d/LaMP-7/ann")
        kept = {info.key for info in get_store().list("sources/")}
        erase(ann)
        left = {info.key for info in get_store().list("sources/")}
        # The other workspace's copy stays.
        assert {key for key in kept - left if key.startswith(f"sources/{workspace.pk}/")} == kept - left
        assert len(kept - left) == 2
        assert len([key for key in left if key.startswith(f"sources/{people.workspace('elsewhere').pk}/")]) == 2
        get_store().delete_prefix("sources/")


@pytest.mark.django_db(transaction=True)
class TestWhileAJobRuns:
    """What a worker that has begun finds when the person is gone."""

    def test_a_training_records_nothing_and_leaves_no_file(self, alice, in_process, erased_within):
        identity = ask_for_adapter(alice)
        erased_within("workers.training._store", alice)
        in_process("train_adapter")
        assert not Adapter.objects.exists()
        assert not [info.key for info in get_store().list("") if identity in info.key]
        assert not Job.objects.exists()

    def test_a_generation_records_nothing(self, alice, in_process, erased_within):
        ask(alice, retriever="bm25")
        erased_within("workers.generating._build_prompts", alice)
        in_process("generate")
        assert not Generation.objects.exists()
        assert not Job.objects.exists()

    def test_an_embedding_records_nothing(self, alice, in_process, erased_within, settings):
        settings.DEFAULT_BASE_MODEL = "small"
        put_documents(
            workspace=alice.workspace, end_user=alice, documents=[NewDocument(TWEETS, "x", {"text": "to be embedded"})]
        )
        erased_within("workers.embedding.encode", alice)
        in_process("embed_documents")
        assert not Embedding.objects.exists()
        assert not Job.objects.exists()

    @pytest.fixture
    def erased_within(self, monkeypatch):
        """Erase somebody just before a function of a worker is called."""

        def erased_within(path, end_user):
            from django.utils.module_loading import import_string

            module, _, name = path.rpartition(".")
            real = import_string(path)
            done = []

            def first_erase(*args, **named):
                if not done:
                    done.append(erase(end_user))
                return real(*args, **named)

            monkeypatch.setattr(f"{module}.{name}", first_erase)

        return erased_within


def test_another_process_forgets_when_it_sees_a_new_receipt(alice, monkeypatch):
    forgotten = []
    monkeypatch.setattr("users_app.caches._forgetters", [lambda: forgotten.append(1)])
    process = Forgetting()
    process.look()
    assert forgotten == []
    erase(alice)
    forgotten.clear()
    process.look(), process.look(), process.look()
    assert forgotten == [1, 1]


def test_another_process_forgets_by_the_minute_what_no_receipt_speaks_of(alice, monkeypatch):
    forgotten = []
    monkeypatch.setattr("users_app.caches._forgetters", [lambda: forgotten.append(1)])
    process = Forgetting()
    process.look()
    process._forgot -= 60
    process.look()
    assert forgotten == [1]


def test_another_process_sees_a_receipt_that_came_late_under_a_lower_id(alice, monkeypatch):
    forgotten = []
    erase(alice)
    process = Forgetting()
    process.look(), process.look()
    monkeypatch.setattr("users_app.caches._forgetters", [lambda: forgotten.append(1)])
    [receipt] = ErasureReceipt.objects.all()
    receipt.pk -= 1
    receipt.save(force_insert=True)
    process.look()
    assert forgotten == [1]


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_records_at_the_same_time_keeps_nobody_from_being_erased(alice, bob):
    """Its rows are held by it, and at its end it wants to see the end user, who is held by the erasure."""
    generation = Generation.objects.get(pk=ask(alice).pk)
    question = Question.objects.filter(split=people.split_of(people.questions_of(alice, bob)), end_user=alice).first()
    run = a_run(question.split)
    holds, may_end = threading.Event(), threading.Event()
    ended = []

    def record():
        try:
            with transaction.atomic():
                Prediction.objects.create(run=run, question=question, end_user=alice, output="an answer")
                Generation.objects.filter(pk=generation.pk).delete()
                holds.set()
                may_end.wait(10)
            ended.append("recorded")
        except (IntegrityError, OperationalError) as error:
            ended.append(type(error).__name__)
        finally:
            connection.close()

    worker = threading.Thread(target=record)
    worker.start()
    assert holds.wait(10)
    releaser = threading.Thread(target=release_when_somebody_waits, args=(may_end,))
    releaser.start()
    erase(alice)
    worker.join(), releaser.join()
    assert len(ended) == 1
    assert not EndUser.objects.filter(pk=alice.pk).exists()
    assert traces(end_user_id=alice.pk, words=["alice", *WORDS_OF_ALICE]) == []


@pytest.mark.django_db(transaction=True)
def test_an_answer_that_is_recorded_at_the_same_time_quotes_no_erased_document(alice, bob):
    """A worker that has seen the document stand is waited for, and its prediction is found."""
    question = Question.objects.filter(split=people.split_of(people.questions_of(alice, bob)), end_user=alice).first()
    run = a_run(question.split)
    [document] = [one for one in tweets_of(alice) if "tomatoes" in one.fields["text"]]
    generation = ask(alice, retriever="bm25")
    holds, may_end = threading.Event(), threading.Event()

    def record():
        try:
            with transaction.atomic():
                Generation.objects.select_for_update(of=("self",), no_key=True).get(pk=generation.pk)
                Prediction.objects.create(
                    run=run,
                    question=question,
                    end_user=alice,
                    output="an answer",
                    prompt="it quotes tomatoes",
                    retrieved_document_ids=[document.pk],
                    retrieved_scores=[1.0],
                )
                Generation.objects.filter(pk=generation.pk).delete()
                holds.set()
                may_end.wait(10)
        finally:
            connection.close()

    worker = threading.Thread(target=record)
    worker.start()
    assert holds.wait(10)
    releaser = threading.Thread(target=release_when_somebody_waits, args=(may_end,))
    releaser.start()
    erase_document(workspace=alice.workspace, end_user=alice, task=TWEETS, client_id="alice-1")
    worker.join(), releaser.join()
    assert Prediction.objects.get().prompt == ""


def release_when_somebody_waits(event):
    try:
        for _ in range(200):
            if somebody_waits():
                break
            time.sleep(0.02)
    finally:
        event.set()
        connection.close()
