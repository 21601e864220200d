"""Deleting a dataset: all that hangs on it goes, however often the job dies, and nothing of anybody else's."""

import pytest
from django.apps import apps
from django.utils import timezone

from common.objects import get_store
from eval_app import dataset_deletion
from eval_app.dataset_deletion import DeletionRefused, request_deletion, what_hangs_on
from eval_app.experiments import ExperimentRefused, cancel_experiment
from eval_app.import_requests import kept_sources, request_import
from eval_app.importing import DatasetBeingDeleted, ImportRefused, Order, Source, import_split
from eval_app.models import (
    Dataset,
    DatasetSplit,
    DocumentFeedback,
    Experiment,
    ExperimentRun,
    ModelTraining,
    Prediction,
    Question,
    Run,
    UserImprovement,
)
from jobs.models import Job, State
from jobs.services import retry
from retrieval_app.models import Embedding, Encoder, TrainedModel
from tests import people
from tests.eval_app.stored import a_base_model, answered_run, ended, start
from tests.eval_app.trained import a_trained_model, a_training
from tests.lamp.lamp_files import tweet_question, write
from tests.people import TWEETS, Asked, split_of, tweets_of
from tests.routes import leads_to_workspace, rows_of
from tests.training_app.adapters import facts, plan_of
from tests.training_app.generations import asked
from training_app.adapters import record_adapter
from training_app.models import Adapter, Generation
from users_app.models import AuditEntry, Document, EndUser, ErasureReceipt
from users_app.services import put_document

pytestmark = pytest.mark.django_db

DELETED = (
    Experiment,
    ExperimentRun,
    Run,
    Prediction,
    UserImprovement,
    DocumentFeedback,
    Question,
    DatasetSplit,
    Dataset,
)
# What the deletion itself leaves, and the counts that change with what is gone.
TRACES = {"users_app.AuditEntry", "users_app.ErasureReceipt", "users_app.Usage", "jobs.Job"}


def import_into(workspace, tmp_path, dataset, split="dev", said="a"):
    """Import a file of three people's questions; the split."""
    tmp_path.mkdir(exist_ok=True)
    questions = [tweet_question(str(at)) for at in range(3)]
    path = write(tmp_path / f"{dataset}-{split}-{said}.json", questions)
    made = import_split(Order(workspace, dataset, split, Source(path, path.name)))
    return DatasetSplit.objects.get(pk=made.split_id)


@pytest.fixture
def imported(workspace, tmp_path):
    return import_into(workspace, tmp_path, "mine")


@pytest.fixture
def made_of_it(imported):
    """Runs, predictions, improvements, an experiment, an adapter and a vector: all that may hang on a dataset."""
    answers = ["one", "two", "three"]
    Question.objects.filter(split=imported).update(gold="one")
    DatasetSplit.objects.filter(pk=imported.pk).update(has_golds=True)
    imported.refresh_from_db()
    runs = {method: answered_run(imported, answers, method=method) for method in ("none", "rag:bm25")}
    experiment = ended(imported, runs)
    person = EndUser.objects.filter(questions__split=imported).first()
    record_adapter(end_user=person, plan=plan_of(person, tweets_of(person)), facts=facts())
    encoder = Encoder.objects.create(name="e", revision="1", dimension=2)
    document = Document.objects.filter(end_user=person).first()
    Embedding.objects.create(end_user=person, document=document, encoder=encoder, dimension=2, vector=[0.0, 1.0])
    question = Question.objects.filter(split=imported, end_user=person).get()
    judged = {"document_ids": [document.pk], "utilities": [0.5], "settings_digest": "0" * 64}
    DocumentFeedback.objects.create(question=question, end_user=person, **judged)
    return experiment


def delete(dataset, in_process):
    job = request_deletion(workspace=dataset.workspace, dataset=dataset)
    in_process("delete_dataset")
    job.refresh_from_db()
    return job


def rows(workspace, *, but=()):
    """Every row of a workspace, but for what a deletion leaves behind."""
    models = [m for m in apps.get_models() if leads_to_workspace(m) and m._meta.label not in {*TRACES, *but}]
    return {model._meta.label: list(rows_of(model, workspace).order_by("pk").values()) for model in models}


def test_all_that_hangs_on_it_is_gone(imported, made_of_it, in_process):
    assert UserImprovement.objects.exists()
    job = delete(imported.dataset, in_process)
    assert (job.state, job.error_message) == (State.DONE, "")
    assert [model for model in DELETED if model.objects.exists()] == []
    assert [model for model in (EndUser, Document, Adapter, Embedding) if model.objects.exists()] == []


def test_everybody_elses_data_is_unchanged(imported, made_of_it, dev, mallory, in_process, tmp_path):
    """Another dataset of the workspace, its people, and another workspace with a dataset of the same name."""
    ended(dev, {"none": answered_run(dev, ["a", "b", "c"])}, name="another")
    import_into(mallory.workspace, tmp_path / "theirs", "mine")
    theirs = rows(mallory.workspace)
    mine = split_rows(dev)
    delete(imported.dataset, in_process)
    assert rows(mallory.workspace) == theirs
    assert split_rows(dev) == mine


def split_rows(split):
    """What there is of a split, and of the people in it."""
    whose = EndUser.objects.filter(questions__split=split)
    return [
        list(query.order_by("pk").values())
        for query in (
            Question.objects.filter(split=split),
            Run.objects.filter(split=split),
            Prediction.objects.filter(run__split=split),
            Experiment.objects.filter(dataset=split.dataset),
            EndUser.objects.filter(pk__in=whose),
            Document.objects.filter(end_user__in=whose),
        )
    ]


def test_people_whom_a_client_knows_stay_with_their_documents(imported, workspace, in_process):
    by_profile, by_question, _nobody = EndUser.objects.filter(questions__split=imported).order_by("pk")
    put_document(
        workspace=workspace,
        end_user=by_profile,
        task=TWEETS,
        client_id="1",
        fields={"text": "hello", "date": "2020-01-01"},
    )
    asked(by_question)
    documents = {one.pk: Document.objects.filter(end_user=one).count() for one in (by_profile, by_question)}
    delete(imported.dataset, in_process)
    assert {one.pk: Document.objects.filter(end_user=one).count() for one in EndUser.objects.all()} == documents
    assert not Question.objects.exists()


def test_people_of_a_clients_own_stay(dev, alice, bob, in_process):
    """Their questions stand in the dataset, and an import has not made them."""
    delete(dev.dataset, in_process)
    assert set(EndUser.objects.all()) == {alice, bob}
    assert Document.objects.count() == len(people.OF_ALICE) + len(people.OF_BOB)


def test_the_files_go_with_it_and_those_of_another_dataset_stay(workspace, tmp_path, in_process, sources_deleted):
    first = import_into(workspace, tmp_path, "mine", said="first")
    shared = import_into(workspace, tmp_path, "other", said="first")
    alone = import_into(workspace, tmp_path, "mine", split="train", said="second")
    DatasetSplit.objects.filter(pk=alone.pk).update(digest="f" * 64)
    [kept] = kept_sources(workspace=workspace, split_ids=[shared.pk])
    [gone] = kept_sources(workspace=workspace, split_ids=[alone.pk])
    for prefix in (kept, gone):
        get_store().put_bytes(prefix + "questions.json", b"[]")
    delete(first.dataset, in_process)
    assert [len(list(get_store().list(prefix))) for prefix in (kept, gone)] == [1, 0]
    get_store().delete_prefix(kept)


def test_a_job_that_dies_goes_on_where_it_was(imported, made_of_it, in_process, monkeypatch):
    monkeypatch.setattr(dataset_deletion, "ROWS_AT_ONCE", 1)
    monkeypatch.setattr(dataset_deletion, "USERS_AT_ONCE", 1)
    whole, dies_after = dataset_deletion._delete_questions, [2]

    def dying(*told):
        dies_after[0] -= 1
        if dies_after[0] == 0:
            raise RuntimeError("killed")
        return whole(*told)

    monkeypatch.setattr(dataset_deletion, "_delete_questions", dying)
    job = delete(imported.dataset, in_process)
    assert (job.state, job.attempts) == (State.DONE, 2)
    assert [model for model in (*DELETED, EndUser, Document) if model.objects.exists()] == []


def test_a_failed_job_leaves_a_dataset_that_nobody_uses(imported, made_of_it, workspace, in_process, monkeypatch):
    def broken(*told):
        raise RuntimeError("broken")

    with monkeypatch.context() as patch:
        patch.setattr(dataset_deletion, "_delete_questions", broken)
        job = delete(imported.dataset, in_process)
    assert job.state == State.FAILED
    assert Dataset.objects.get().deletion_requested_at is not None
    again = request_deletion(workspace=workspace, dataset=imported.dataset)
    assert again.pk != job.pk
    in_process("delete_dataset")
    assert not Dataset.objects.exists()


def test_asking_twice_is_asking_once(imported, workspace):
    jobs = {request_deletion(workspace=workspace, dataset=imported.dataset).pk for _ in range(2)}
    assert len(jobs) == 1
    assert AuditEntry.objects.filter(action="dataset.deleted").count() == 1


def test_a_retried_job_of_a_dataset_that_is_gone_ends_well(imported, in_process):
    job = delete(imported.dataset, in_process)
    Job.objects.filter(pk=job.pk).update(state=State.CANCELLED, result=None)
    retry(job.pk)
    in_process("delete_dataset")
    job.refresh_from_db()
    assert job.state == State.DONE


def test_it_is_refused_while_an_experiment_of_it_is_under_way(imported, workspace):
    experiment = start(imported, methods="none", base_model=a_base_model())
    with pytest.raises(DeletionRefused, match="“first”"):
        request_deletion(workspace=workspace, dataset=imported.dataset)
    cancel_experiment(experiment=experiment)
    # The step that ends it is still to come.
    with pytest.raises(DeletionRefused, match="still ending"):
        request_deletion(workspace=workspace, dataset=imported.dataset)


def test_it_is_refused_while_an_import_into_it_is_under_way(imported, workspace, tmp_path, sources_deleted):
    path = write(tmp_path / "more.json", [tweet_question("9")])
    request_import(workspace=workspace, dataset="other", split="dev", questions=path)
    assert what_hangs_on(workspace=workspace, dataset=imported.dataset).in_use == ""
    request_import(workspace=workspace, dataset="mine", split="train", questions=path)
    with pytest.raises(DeletionRefused, match="import"):
        request_deletion(workspace=workspace, dataset=imported.dataset)
    assert Dataset.objects.get(pk=imported.dataset_id).deletion_requested_at is None


def test_meanwhile_nothing_is_imported_into_it_and_no_experiment_begins(imported, workspace, tmp_path):
    request_deletion(workspace=workspace, dataset=imported.dataset)
    path = write(tmp_path / "more.json", [tweet_question("9")])
    with pytest.raises(ImportRefused, match="being deleted"):
        request_import(workspace=workspace, dataset="mine", split="train", questions=path)
    with pytest.raises(DatasetBeingDeleted):
        import_split(Order(workspace, "mine", "train", Source(path, path.name)))
    with pytest.raises(ExperimentRefused, match="being deleted"):
        start(imported, methods="none", base_model=a_base_model())


def test_a_dataset_of_another_workspace_is_not_there(imported, mallory):
    with pytest.raises(Dataset.DoesNotExist):
        request_deletion(workspace=mallory.workspace, dataset=imported.dataset)


def test_who_asked_is_kept(imported, workspace):
    job = request_deletion(workspace=workspace, dataset=imported.dataset)
    entry = AuditEntry.objects.get(action="dataset.deleted")
    assert (entry.subject, entry.details) == ("mine", {"job_id": job.pk, "dataset_id": imported.dataset_id})


def test_workers_hear_that_people_are_gone(imported, in_process):
    """By receipts, after which they forget whom they hold in memory."""
    delete(imported.dataset, in_process)
    receipt = ErasureReceipt.objects.get()
    assert receipt.removed["end users"] == 3
    assert receipt.finished_at is not None
    assert not AuditEntry.objects.filter(action="end_user.erased").exists()


def test_answers_that_were_never_collected_go(imported, made_of_it, alice, in_process):
    run = Run.objects.first()
    left = asked(alice)
    Generation.objects.filter(pk=left.pk).update(origin=f"run:{run.pk}/1")
    other = asked(alice)
    Generation.objects.filter(pk=other.pk).update(origin=f"run:{run.pk}0/1", created_at=timezone.now())
    delete(imported.dataset, in_process)
    assert set(Generation.objects.values_list("pk", flat=True)) == {other.pk}


def test_the_people_of_a_dataset_whose_name_begins_alike_stay(workspace, tmp_path, in_process):
    mine = import_into(workspace, tmp_path, "mine")
    import_into(workspace, tmp_path, "mine-too")
    delete(mine.dataset, in_process)
    assert {one.split("/")[0] for one in EndUser.objects.values_list("external_id", flat=True)} == {"mine-too"}


def test_questions_of_the_same_person_elsewhere_keep_them(imported, in_process):
    person = EndUser.objects.filter(questions__split=imported).first()
    split_of([Asked(person, "tweet: hello", "hi", tweets_of(person))], dataset="by-hand")
    delete(imported.dataset, in_process)
    assert list(EndUser.objects.all()) == [person]


class TestTrainings:
    def test_it_waits_for_a_training_of_a_model(self, imported):
        training = a_training(imported.dataset)
        with pytest.raises(DeletionRefused, match=rf"Training {training.pk} of a model on this dataset is under way"):
            request_deletion(workspace=imported.dataset.workspace, dataset=imported.dataset)

    def test_its_trainings_go_and_the_models_stay_marked(self, imported, workspace, in_process):
        person = EndUser.objects.filter(questions__split=imported).first()
        model = a_trained_model(workspace, person)
        a_training(imported.dataset, state="done", trained_model=model)
        job = delete(imported.dataset, in_process)
        assert (job.state, job.error_message) == (State.DONE, "")
        assert not ModelTraining.objects.exists()
        model.refresh_from_db()
        assert (model.erasures, model.participants.count()) == (1, 0)

    def test_runs_that_a_selector_answered_are_no_hindrance(self, imported, workspace, in_process):
        model = a_trained_model(workspace)
        Question.objects.filter(split=imported).update(gold="one")
        answered_run(imported, ["one", "two", "three"], method="rag:rspg-pre", selector=model)
        assert delete(imported.dataset, in_process).state == State.DONE
        assert TrainedModel.objects.get() == model


def test_a_workspace_with_runs_of_a_selector_is_deleted_with_it(dev, workspace):
    model = a_trained_model(workspace)
    answered_run(dev, ["a", "b", "c"], method="rag:rspg-pre", selector=model)
    a_training(dev.dataset, state="done", trained_model=model)
    workspace.delete()
    assert not TrainedModel.objects.exists()
