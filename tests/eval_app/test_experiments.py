import shutil

import pytest
from django.db.models import F
from django.db.models.functions import Now

from eval_app.experiments import ExperimentRefused, advance_experiment, advance_stalled, cancel_experiment
from eval_app.models import DatasetSplit, Experiment, ExperimentRun, Prediction, Question, Run
from eval_app.reports import experiment_table
from eval_app.table import table_as_json
from jobs.models import Job
from lamp.catalogue import UnknownTask
from tests.eval_app.stored import HYPERPARAMETERS, small_encoder, small_t5, start
from tests.people import Asked, questions_of, split_of, tweets_of
from training_app.adapters import ensure_base_model
from training_app.models import Adapter, Generation
from workers.small_models import SMALL_T5


def fresh(experiment):
    return Experiment.objects.get(pk=experiment.pk)


def columns(experiment):
    return {column.method: column for column in experiment.columns.select_related("run").order_by("id")}


@pytest.fixture
def undated(alice):
    """A dev split of another task in the same dataset, without dates."""
    text = "Generate a headline for the following article: rain in the garden"
    return split_of([Asked(alice, text, "rain", [])], task="LaMP-4", has_dates=False)


class TestStart:
    def test_there_is_a_column_for_each_method_of_each_task(self, dev, undated):
        experiment = start(dev, "none,rag:bm25")
        assert list(experiment.columns.order_by("id").values_list("task", "method")) == [
            ("LaMP-4", "none"),
            ("LaMP-4", "rag:bm25"),
            ("LaMP-7", "none"),
            ("LaMP-7", "rag:bm25"),
        ]

    def test_the_tasks_may_be_chosen(self, dev, undated):
        experiment = start(dev, "none", tasks=["lamp_7"])
        assert set(experiment.columns.values_list("task", flat=True)) == {"LaMP-7"}

    def test_the_same_again_goes_on_with_the_same(self, dev):
        assert start(dev) == start(dev)
        assert Job.objects.filter(kind="advance_experiment").count() == 1

    @pytest.mark.parametrize(
        ("changed", "named"),
        [({"seed": 1}, "seed"), ({"documents_wanted": 9}, "documents_wanted"), ({"user_limit": 1}, "user_limit")],
    )
    def test_a_name_that_stands_for_other_settings_is_refused_and_they_are_named(self, dev, changed, named):
        start(dev)
        with pytest.raises(ExperimentRefused, match=rf"stands with other settings \({named} differ\)"):
            start(dev, **changed)

    def test_other_methods_need_another_name(self, dev):
        start(dev, "none")
        with pytest.raises(ExperimentRefused, match="methods differ"):
            start(dev, "none,rag:bm25")

    def test_recency_without_any_date_is_refused_with_the_reason_and_nothing_is_stored(self, undated):
        with pytest.raises(ExperimentRefused, match="rag:recency needs dates, and the profiles of LaMP-4 have none"):
            start(undated, "none,rag:recency")
        assert not Experiment.objects.exists()

    def test_recency_runs_where_there_are_dates_and_the_table_says_where_not(self, dev, undated):
        experiment = start(dev, "none,rag:recency")
        refused = experiment.columns.exclude(refusal="")
        assert list(refused.values_list("task", "method")) == [("LaMP-4", "rag:recency")]

    def test_a_split_that_is_not_there_is_refused(self, dev):
        with pytest.raises(ExperimentRefused, match="has no test split"):
            start(dev, split="test")

    def test_a_task_that_is_not_there_is_refused(self, dev):
        with pytest.raises(ExperimentRefused, match="has no dev split of LaMP-4; it has LaMP-7"):
            start(dev, tasks=["LaMP-4"])
        with pytest.raises(UnknownTask):
            start(dev, tasks=["LaMP-99"])

    def test_the_newest_version_is_compared(self, dev, alice, bob):
        newer = split_of(questions_of(alice, bob))
        assert start(dev).configuration["splits"] == {"LaMP-7": newer.pk}

    def test_two_workspaces_may_use_one_name(self, dev, mallory):
        theirs = split_of([Asked(mallory, "tweet: hello", "hi", tweets_of(mallory))])
        assert start(theirs) != start(dev)


class TestTheWholeWay:
    METHODS = "none,rag:bm25,rag:recency,rag:contriever,peft:8,peft-rag:best:8"

    @pytest.fixture
    def experiment(self, dev, in_process):
        experiment = start(dev, self.METHODS, encoder=small_encoder())
        in_process()
        return fresh(experiment)

    def test_it_ends_with_every_question_answered_by_every_method_and_a_table(self, experiment, alice, bob):
        assert (experiment.state, experiment.error) == ("done", "")
        assert set(Run.objects.values_list("state", flat=True)) == {"done"}
        assert Prediction.objects.count() == 3 * 6
        report = table_as_json(experiment_table(experiment=experiment))
        assert list(report["rows"][0]["cells"]) == self.METHODS.split(",")
        assert {cell["n"] for cell in report["rows"][0]["cells"].values()} == {3}
        # `best` is the retriever that was best on this dev split.
        by_method = columns(experiment)
        rag = [by_method[f"rag:{name}"].run for name in ("bm25", "recency", "contriever")]
        best = max(run.metrics["rouge-1"] for run in rag)
        chosen = by_method["peft-rag:best:8"].run.retriever
        assert chosen == next(run.retriever for run in rag if run.metrics["rouge-1"] == best)
        # One adapter a user, used by both families; nothing is left lying about.
        assert set(Adapter.objects.values_list("end_user", flat=True)) == {alice.pk, bob.pk}
        assert Adapter.objects.count() == 2
        assert not Generation.objects.exists()
        assert set(Job.objects.values_list("state", flat=True)) == {"done"}
        for prediction in Prediction.objects.filter(run__family__in=("rag", "peft-rag")).select_related("question"):
            assert len(prediction.retrieved_document_ids) == 2
            assert set(prediction.retrieved_document_ids) <= set(prediction.question.document_ids)
        for prediction in Prediction.objects.filter(run__family__in=("peft", "peft-rag")).select_related("adapter"):
            assert prediction.adapter.end_user_id == prediction.end_user_id

    def test_what_stands_is_shared_with_another_experiment(self, experiment, dev, in_process):
        before = set(Run.objects.values_list("pk", flat=True)), set(Prediction.objects.values_list("pk", flat=True))
        another = start(dev, "none,rag:bm25,peft:8", name="second")
        in_process()
        assert fresh(another).state == "done"
        assert (
            set(Run.objects.values_list("pk", flat=True)),
            set(Prediction.objects.values_list("pk", flat=True)),
        ) == before

    def test_on_the_test_split_the_best_is_that_of_dev(self, experiment, dev, alice, bob, in_process):
        test = split_of(questions_of(alice, bob), split="test")
        another = start(test, "none,peft-rag:best:8", name="on test", encoder=small_encoder())
        in_process()
        assert fresh(another).state == "done"
        assert columns(another)["peft-rag:best:8"].run.retriever == columns(experiment)["peft-rag:best:8"].run.retriever


def test_the_best_on_dev_is_chosen_among_runs_of_the_same_questions(dev, alice, bob, in_process):
    start(dev, "rag:bm25,rag:recency")
    start(dev, "rag:bm25,rag:recency", name="few", user_limit=1)
    start(dev, "rag:bm25", name="alone", user_limit=2)
    in_process("advance_experiment")
    # In full recency is better; the other way round over the first user, and with nothing to be compared with.
    for limit, scores in ((None, {"bm25": 0.2, "recency": 0.3}), (1, {"bm25": 0.9, "recency": 0.1}), (2, {"bm25": 1})):
        for retriever, score in scores.items():
            runs = Run.objects.filter(user_limit=limit, retriever=retriever)
            assert runs.update(state="done", metrics={"rouge-1": score}, finished_at=Now()) == 1
    on_test = start(split_of(questions_of(alice, bob), split="test"), "rag:best", name="on test")
    advance_experiment(experiment_id=on_test.pk)
    assert columns(on_test)["rag:best"].run.retriever == "recency"


def test_best_without_any_retriever_to_choose_from_is_refused(dev, in_process):
    experiment = start(dev, "none,rag:best")
    in_process()
    assert fresh(experiment).state == "done"
    assert columns(experiment)["rag:best"].refusal.startswith("“best” is the retriever that was best on the dev split")


def test_a_refused_best_is_looked_for_again_by_the_same_command(dev, in_process):
    start(dev, "none,rag:best")
    in_process()
    start(dev, "rag:bm25", name="the choice")
    in_process()
    again = start(dev, "none,rag:best")
    in_process()
    assert (fresh(again).state, columns(again)["rag:best"].run.retriever) == ("done", "bm25")


def test_a_refused_best_on_test_is_chosen_once_dev_has_run(dev, alice, bob, in_process):
    test = split_of(questions_of(alice, bob), split="test")
    start(test, "rag:best", name="on test")
    in_process()
    start(dev, "rag:bm25")
    in_process()
    again = start(test, "rag:best", name="on test")
    in_process()
    assert (fresh(again).state, columns(again)["rag:best"].run.retriever) == ("done", "bm25")


def test_a_truth_that_came_later_stands_in_the_report_once_the_same_is_asked_again(dev, in_process):
    experiment = start(dev)
    in_process()
    runs = set(Run.objects.values_list("pk", "finished_at"))
    Question.objects.filter(split=dev).update(oracle_answer=F("gold"))
    DatasetSplit.objects.filter(pk=dev.pk).update(has_oracle=True)
    assert start(dev) == experiment
    in_process()
    row = table_as_json(experiment_table(experiment=fresh(experiment)))["rows"][0]
    assert (row["oracle"], row["cells"]["none"]["share_of_possible"]) == ({"value": 1.0}, 0.0)
    assert set(Run.objects.values_list("pk", "finished_at")) == runs
    assert start(dev).state == "done"


def test_a_limit_of_users_answers_their_questions_alone(dev, alice, in_process):
    start(dev, "none", user_limit=1)
    in_process()
    assert set(Prediction.objects.values_list("end_user", "question__external_id")) == {
        (alice.pk, "100"),
        (alice.pk, "102"),
    }


class TestInterruptions:
    def test_what_got_lost_on_the_way_is_found_by_the_sweep(self, dev, in_process):
        experiment = start(dev, "none,peft:8")
        in_process("advance_experiment")
        Job.objects.all().delete()
        advance_stalled()
        in_process()
        assert fresh(experiment).state == "done"
        assert Prediction.objects.count() == 6

    def test_the_sweep_leaves_what_is_under_way_alone(self, dev, in_process):
        start(dev, "none")
        in_process("advance_experiment")
        advance_stalled()
        assert not Job.objects.filter(kind="advance_experiment", state="waiting").exists()

    def test_advancing_twice_changes_nothing(self, dev, in_process):
        experiment = start(dev, "none,peft:8")
        advance_experiment(experiment_id=experiment.pk)
        before = sorted(Job.objects.values_list("kind", "pk"))
        advance_experiment(experiment_id=experiment.pk)
        assert sorted(Job.objects.values_list("kind", "pk")) == before

    def test_a_cancelled_experiment_stops_and_the_same_command_goes_on(self, dev, in_process):
        experiment = start(dev, "none")
        in_process("advance_experiment")
        cancel_experiment(experiment=experiment)
        in_process()
        assert fresh(experiment).state == "cancelled"
        assert not Prediction.objects.exists()
        start(dev, "none")
        in_process()
        assert fresh(experiment).state == "done"
        assert Prediction.objects.count() == 3

    def test_a_cancelled_experiment_has_a_table_of_what_was_done(self, dev, in_process):
        start(dev, "none", name="before")
        in_process()
        experiment = start(dev, "none,peft:8")
        in_process("advance_experiment")
        cancel_experiment(experiment=fresh(experiment))
        in_process("advance_experiment")
        [row, *_] = experiment_table(experiment=fresh(experiment)).rows
        assert {method: cell.value is not None for method, cell in row.cells.items()} == {"none": True, "peft:8": False}
        start(dev, "none,peft:8")
        assert (fresh(experiment).state, fresh(experiment).report) == ("active", None)

    def test_cancelling_spares_what_another_experiment_needs(self, dev, in_process):
        doomed, needed = start(dev, "none,rag:bm25"), start(dev, "none", name="second")
        in_process("advance_experiment")
        cancel_experiment(experiment=doomed)
        in_process()
        assert fresh(needed).state == "done"
        assert columns(doomed)["rag:bm25"].run.state == "cancelled"

    def test_a_failed_experiment_says_why_and_goes_on_once_the_cause_is_mended(self, dev, tmp_path, in_process):
        folder = tmp_path / "t5"
        missing = ensure_base_model(name=str(folder), revision=small_t5().revision)
        experiment = start(dev, "none", base_model=missing)
        in_process()
        failed = fresh(experiment)
        assert failed.state == "failed"
        assert failed.error.startswith("1 of 1 runs failed. The first: 3 of 3 questions failed. The first: job ")
        cells = table_as_json(experiment_table(experiment=failed))["rows"][0]["cells"]
        assert cells["none"]["reason"].startswith("failed: 3 of 3 questions failed")

        shutil.copytree(SMALL_T5, folder)
        start(dev, "none", base_model=missing)
        in_process()
        assert (fresh(experiment).state, fresh(experiment).error) == ("done", "")
        assert Prediction.objects.count() == 3

    def test_the_best_is_chosen_again_once_all_of_it_has_run(self, dev, tmp_path, in_process):
        folder = tmp_path / "t5"
        missing = ensure_base_model(name=str(folder), revision=small_t5().revision)
        experiment = start(dev, "rag:bm25,rag:best", base_model=missing)
        in_process()
        assert columns(experiment)["rag:best"].refusal != ""

        shutil.copytree(SMALL_T5, folder)
        start(dev, "rag:bm25,rag:best", base_model=missing)
        in_process()
        found = columns(experiment)
        assert (fresh(experiment).state, found["rag:best"].refusal) == ("done", "")
        assert found["rag:best"].run == found["rag:bm25"].run

    def test_an_experiment_that_cannot_be_taken_further_fails_and_says_why(self, dev, in_process):
        experiment = start(dev, "none")
        Experiment.objects.update(configuration={**experiment.configuration, "base_model_id": 0})
        in_process()
        assert fresh(experiment).state == "failed"
        assert fresh(experiment).error.startswith("It could not be taken further. job ")

    def test_what_ended_keeps_the_versions_that_made_it(self, dev, in_process):
        start(dev, "none")
        in_process()
        assert start(dev, "none", versions={"torch": "3"}).versions == {"torch": "2"}

    def test_training_that_diverges_fails_its_columns_and_no_others(self, dev, in_process):
        experiment = start(dev, "none,peft:8", hyperparameters={**HYPERPARAMETERS, "learning_rate": 1e15, "epochs": 3})
        in_process()
        assert fresh(experiment).state == "failed"
        assert "the loss is not finite" in fresh(experiment).error
        assert columns(experiment)["none"].run.state == "done"
        assert columns(experiment)["peft:8"].run.state == "failed"


def test_a_column_is_refused_or_runs_but_never_both(dev):
    from django.db import IntegrityError, transaction

    experiment = start(dev, "none")
    advance_experiment(experiment_id=experiment.pk)
    with pytest.raises(IntegrityError, match="experiment_column_runs_or_is_refused"), transaction.atomic():
        ExperimentRun.objects.filter(experiment=experiment).update(refusal="no")
