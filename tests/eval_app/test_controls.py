"""Experiments whose personalized columns have controls: the same with another user's profile, adapter or both."""

import io
import json

import pytest
from django.core.management import call_command
from django.db.models.functions import Now

from eval_app.experiments import ExperimentRefused, advance_experiment
from eval_app.models import Experiment, Prediction, Run, UserImprovement
from eval_app.reports import experiment_table
from eval_app.selectors import experiment_progress
from eval_app.swapping import TOO_FEW_USERS, partners
from eval_app.table import table_as_json
from jobs.models import Job
from tests import people
from tests.eval_app.stored import small_encoder, start
from tests.people import ASK, Asked, questions_of, split_of, tweets_of
from training_app.models import Adapter, Generation

METHODS = "none,rag:bm25,rag:recency,rag:contriever,peft:8,peft-rag:best:8"
SWAPPED = ["swapped"]


def columns(experiment):
    return {column.method: column for column in experiment.columns.select_related("run").order_by("id")}


def report_of(experiment):
    return table_as_json(experiment_table(experiment=Experiment.objects.get(pk=experiment.pk)))


@pytest.fixture
def carol(workspace):
    return people.person(
        workspace, "carol", [{"text": f"soup number {at} of carol", "date": 2010 + at} for at in (1, 2)]
    )


@pytest.fixture
def split(alice, bob, carol):
    return split_of([*questions_of(alice, bob), Asked(carol, ASK + "soup", "more soup", tweets_of(carol))])


@pytest.fixture
def alone(alice):
    """A split of one user's questions."""
    return split_of([Asked(alice, ASK + "rain", "rain again", tweets_of(alice))])


class TestTheWholeWay:
    @pytest.fixture
    def experiment(self, split, in_process):
        experiment = start(split, METHODS, controls=SWAPPED, encoder=small_encoder())
        in_process()
        experiment.refresh_from_db()
        assert (experiment.state, experiment.error) == ("done", "")
        return experiment

    def test_own_answers_hold_only_own_data_and_swapped_ones_only_the_partners(self, experiment, alice, bob, carol):
        names = {user.pk: user.external_id for user in (alice, bob, carol)}
        partner = partners(names)
        own = {user.pk: {document.pk for document in tweets_of(user)} for user in (alice, bob, carol)}
        texts = {user.pk: [document.fields["text"] for document in tweets_of(user)] for user in (alice, bob, carol)}
        seen = 0
        for prediction in Prediction.objects.exclude(run__family="none").select_related("run", "adapter"):
            asker = prediction.end_user_id
            whose = partner[asker] if prediction.run.control else asker
            others = set(names) - {whose}
            assert set(prediction.retrieved_document_ids) <= own[whose]
            assert not any(text in prediction.prompt for other in others for text in texts[other])
            if prediction.run.family != "peft":
                assert len(prediction.retrieved_document_ids) == 2
                assert any(text in prediction.prompt for text in texts[whose])
            if prediction.run.family != "rag":
                assert prediction.adapter.end_user_id == whose
            seen += 1
        assert seen == 4 * 10

    def test_controls_stand_in_the_cells_of_their_own_columns_and_cost_no_training(self, experiment, split, tmp_path):
        assert Adapter.objects.count() == Job.objects.filter(kind="train_adapter").count() == 3
        assert Job.objects.filter(kind="embed_documents").count() == 1
        assert not Generation.objects.exists()
        progress = [column.method for column in experiment_progress(experiment=experiment)]
        assert progress[:3] == ["none", "rag:bm25", "rag:bm25@swapped"]
        found = columns(experiment)
        own, control = found["peft-rag:best:8"].run, found["peft-rag:best:8@swapped"].run
        assert (control.retriever, control.rank, control.control) == (own.retriever, own.rank, "swapped")
        assert UserImprovement.objects.exists()
        assert not UserImprovement.objects.exclude(run__control="").exists()
        for row in report_of(experiment)["rows"]:
            assert list(row["cells"]) == METHODS.split(",")
            assert "control" not in row["cells"].pop("none")
            for method, cell in row["cells"].items():
                told = cell["control"]
                assert (told["n"], told["value"]) == (4, found[f"{method}@swapped"].run.metrics[row["metric"]])
                assert 0 < told["p_value"] <= told["p_holm"] <= 1
        named = {"workspace": "acme", "name": "first", "task": "LaMP-7", "method": "peft:8@swapped"}
        call_command("export_predictions", **named, out=tmp_path / "p.json", stdout=io.StringIO())
        assert len(json.loads((tmp_path / "p.json").read_text())["golds"]) == 4

    def test_another_experiment_shares_the_runs_and_without_controls_has_the_same_report(
        self, experiment, split, in_process
    ):
        before = set(Run.objects.values_list("pk", flat=True))
        plain = start(split, METHODS, encoder=small_encoder(), name="plain")
        start(split, "none,rag:recency", controls=SWAPPED, name="second")
        in_process()
        assert set(Run.objects.values_list("pk", flat=True)) == before
        with_controls = report_of(experiment)
        for row in with_controls["rows"]:
            for cell in row["cells"].values():
                cell.pop("control", None)
        assert report_of(plain) == with_controls


class TestAskingAgain:
    def test_the_same_again_goes_on_with_the_same(self, split):
        assert start(split, controls=SWAPPED) == start(split, controls=SWAPPED)

    @pytest.mark.parametrize(("before", "now"), [([], SWAPPED), (SWAPPED, [])], ids=["more", "fewer"])
    def test_other_controls_need_another_name(self, split, before, now):
        start(split, controls=before)
        with pytest.raises(ExperimentRefused, match=r"stands with other settings \(controls differ\)"):
            start(split, controls=now)

    def test_an_experiment_of_before_there_were_controls_goes_on(self, split):
        experiment = start(split)
        configuration = {key: value for key, value in experiment.configuration.items() if key != "controls"}
        Experiment.objects.update(configuration=configuration)
        assert start(split) == experiment


class TestBest:
    def test_controls_take_no_part_in_choosing_the_best(self, split, in_process):
        experiment = start(split, "none,rag:bm25,rag:recency,rag:best", controls=SWAPPED)
        in_process("advance_experiment")
        for retriever, own, swapped in (("bm25", 0.2, 0.9), ("recency", 0.3, 0.1)):
            for control, score in (("", own), ("swapped", swapped)):
                runs = Run.objects.filter(retriever=retriever, control=control)
                assert runs.update(state="done", metrics={"rouge-1": score}, finished_at=Now()) == 1
        advance_experiment(experiment_id=experiment.pk)
        found = columns(experiment)
        assert found["rag:best"].run == found["rag:recency"].run
        assert found["rag:best@swapped"].run == found["rag:recency@swapped"].run

    def test_nor_does_a_control_that_is_not_done_hold_the_choice_up(self, split, in_process):
        experiment = start(split, "none,rag:bm25,rag:best", controls=SWAPPED)
        in_process("advance_experiment")
        own = Run.objects.filter(retriever="bm25", control="")
        own.update(state="done", metrics={"rouge-1": 0.5}, finished_at=Now())
        advance_experiment(experiment_id=experiment.pk)
        assert columns(experiment)["rag:best"].run == own.get()

    def test_the_best_of_dev_on_test_is_chosen_among_own_runs_alone(self, split, alice, bob, in_process):
        start(split, "rag:bm25,rag:recency", controls=SWAPPED)
        in_process("advance_experiment")
        for retriever, own, swapped in (("bm25", 0.2, 0.9), ("recency", 0.3, 0.1)):
            for control, score in (("", own), ("swapped", swapped)):
                runs = Run.objects.filter(retriever=retriever, control=control)
                runs.update(state="done", metrics={"rouge-1": score}, finished_at=Now())
        on_test = start(split_of(questions_of(alice, bob), split="test"), "rag:best", controls=SWAPPED, name="on test")
        advance_experiment(experiment_id=on_test.pk)
        assert columns(on_test)["rag:best"].run.retriever == "recency"
        assert columns(on_test)["rag:best@swapped"].run.retriever == "recency"

    def test_where_there_is_no_best_the_control_is_refused_with_the_same_words(self, split, in_process):
        experiment = start(split, "none,rag:best", controls=SWAPPED)
        in_process()
        found = columns(experiment)
        assert found["rag:best@swapped"].refusal == found["rag:best"].refusal != ""


class TestRefusals:
    def test_of_one_user_alone_the_cell_says_why_there_is_no_control(self, alone, in_process):
        experiment = start(alone, "none,rag:bm25,rag:best", controls=SWAPPED)
        in_process()
        for method, cell in report_of(experiment)["rows"][0]["cells"].items():
            if method != "none":
                assert cell["value"] is not None
                assert cell["control"] == {"value": None, "n": 0, "reason": TOO_FEW_USERS}

    def test_a_limit_of_one_user_leaves_nobody_to_swap_with(self, split):
        experiment = start(split, controls=SWAPPED, user_limit=1)
        assert columns(experiment)["rag:bm25@swapped"].refusal == TOO_FEW_USERS

    def test_asking_again_changes_nothing_of_that(self, alone, in_process):
        experiment = start(alone, "none,rag:bm25,rag:best", controls=SWAPPED)
        in_process()
        before = Job.objects.count()
        again = start(alone, "none,rag:bm25,rag:best", controls=SWAPPED)
        assert (again.pk, again.state, Job.objects.count()) == (experiment.pk, "done", before)

    def test_what_its_own_column_cannot_run_on_it_cannot_either(self, alice, bob, dev):
        text = "Generate a headline for the following article: rain in the garden"
        split_of([Asked(user, text, "rain", []) for user in (alice, bob)], task="LaMP-4", has_dates=False)
        experiment = start(dev, "none,rag:recency", controls=SWAPPED)
        refused = experiment.columns.filter(task="LaMP-4").exclude(refusal="").order_by("id")
        assert list(refused.values_list("method", flat=True)) == ["rag:recency", "rag:recency@swapped"]
