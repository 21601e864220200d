"""Experiments whose retriever a selector chooses, or whose encoder was fine-tuned: RSPG and ROPG."""

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from eval_app.experiment_plans import Asked, plan_experiment
from eval_app.experiment_settings import needs_encoder
from eval_app.experiments import advance_experiment, resume_experiment
from eval_app.methods import parse_methods
from eval_app.models import Experiment, Prediction, Run
from eval_app.reports import experiment_table
from eval_app.table import table_as_json
from retrieval_app.models import TrainedModel
from tests.eval_app.stored import HYPERPARAMETERS, PARAMETERS, a_base_model, start
from tests.eval_app.unloaded import WITH_RECENCY, unloaded
from tests.people import Asked as Question
from tests.people import questions_of, split_of, tweets_of
from tests.workers.trained import a_fine_tuned_encoder, a_selector


def columns(experiment):
    return {column.method: column for column in experiment.columns.select_related("run").order_by("id")}


def begun(split, methods, **changed):
    """An experiment with a base model that nobody loads, after its first step."""
    experiment = start(split, methods, base_model=a_base_model(), **changed)
    advance_experiment(experiment_id=experiment.pk)
    experiment.refresh_from_db()
    return experiment


def score(experiment, **scores):
    """Let the experiment's RAG runs be done, with these scores by retriever."""
    for name, value in scores.items():
        run = columns(experiment)[f"rag:{name.replace('_', '-')}"].run
        Run.objects.filter(pk=run.pk).update(state="done", metrics={"rouge-1": value}, finished_at=Now())
    advance_experiment(experiment_id=experiment.pk)
    experiment.refresh_from_db()


@pytest.fixture
def test_split(alice, bob, dev):
    return split_of(questions_of(alice, bob), split="test")


class TestRefusals:
    def test_what_has_not_been_trained_is_refused_in_its_columns_and_the_rest_runs(self, dev):
        experiment = begun(dev, "none,rag:bm25,rag:rspg-pre,rag:ropg-kd", controls=["swapped"])
        found = columns(experiment)
        for key in ("rag:rspg-pre", "rag:rspg-pre@swapped", "rag:ropg-kd"):
            assert found[key].refusal.startswith("No R")
            assert found[key].run is None
        assert found["rag:bm25"].run is not None

    def test_a_selector_that_may_choose_recency_is_refused_where_there_are_no_dates(self, workspace, alice):
        unloaded(workspace, pool=WITH_RECENCY)
        undated = split_of([Question(alice, "tweet: hello", "hi", [])], has_dates=False)
        assert "needs dates" in columns(begun(undated, "none,rag:rspg-pre"))["rag:rspg-pre"].refusal

    def test_once_it_is_trained_the_same_command_uses_it(self, dev, workspace):
        experiment = begun(dev, "rag:rspg-pre,rag:ropg-kd")
        assert experiment.state == "done"
        selector, encoder = unloaded(workspace), unloaded(workspace, "ropg-kd")
        assert begun(dev, "rag:rspg-pre,rag:ropg-kd") == experiment
        found = columns(experiment)
        assert found["rag:rspg-pre"].run.selector == selector
        assert found["rag:ropg-kd"].run.encoder == encoder.encoder


class TestRuns:
    METHODS = "rag:rspg-pre,peft-rag:rspg-pre:8,rag:ropg-kd,peft-rag:ropg-kd:8"

    def test_each_column_has_what_its_name_means_and_the_control_the_same(self, dev, workspace):
        selector, encoder = unloaded(workspace), unloaded(workspace, "ropg-kd").encoder
        found = columns(begun(dev, self.METHODS, controls=["swapped"]))
        assert len(found) == 8
        for key, column in found.items():
            expected = (selector, None) if "rspg" in key else (None, encoder)
            assert (column.run.selector, column.run.encoder) == expected

    def test_what_is_trained_later_changes_no_run_that_stands(self, dev, workspace):
        selector = unloaded(workspace)
        experiment = begun(dev, "rag:rspg-pre")
        unloaded(workspace)
        advance_experiment(experiment_id=experiment.pk)
        assert columns(begun(dev, "rag:rspg-pre"))["rag:rspg-pre"].run.selector == selector

    def test_another_experiment_takes_the_newer_one_and_has_a_run_of_its_own(self, dev, workspace):
        unloaded(workspace)
        before = columns(begun(dev, "rag:rspg-pre"))["rag:rspg-pre"].run
        newer = unloaded(workspace)
        after = columns(begun(dev, "rag:rspg-pre", name="second"))["rag:rspg-pre"].run
        assert (after.selector, after == before) == (newer, False)


class TestBest:
    def test_on_dev_it_may_be_a_selector_and_peft_rag_uses_the_same(self, dev, workspace):
        selector = unloaded(workspace)
        experiment = begun(dev, "rag:bm25,rag:rspg-pre,peft-rag:best:8", controls=["swapped"])
        score(experiment, bm25=0.2, rspg_pre=0.3)
        unloaded(workspace)
        found = columns(experiment)
        for key in ("peft-rag:best:8", "peft-rag:best:8@swapped"):
            assert (found[key].run.retriever, found[key].run.selector) == ("rspg-pre", selector)

    def test_a_column_that_is_refused_does_not_hold_the_choice_up(self, dev):
        experiment = begun(dev, "rag:bm25,rag:rspg-pre,rag:best")
        score(experiment, bm25=0.2)
        found = columns(experiment)
        assert found["rag:best"].run == found["rag:bm25"].run

    @pytest.mark.parametrize("kind", ["rspg-pre", "ropg-kd"])
    def test_on_test_it_is_the_very_one_that_was_best_on_dev(self, dev, test_split, workspace, kind):
        trained = unloaded(workspace, kind)
        score(begun(dev, f"rag:bm25,rag:{kind}"), **{"bm25": 0.2, kind.replace("-", "_"): 0.3})
        unloaded(workspace, kind)
        run = columns(begun(test_split, "rag:best", name="on test"))["rag:best"].run
        assert (run.retriever, run.selector or run.encoder) == (kind, trained.encoder or trained)

    def test_of_several_of_one_retriever_on_dev_the_newest_counts(self, dev, test_split, workspace):
        unloaded(workspace)
        score(begun(dev, "rag:bm25,rag:rspg-pre"), bm25=0.2, rspg_pre=0.9)
        newer = unloaded(workspace)
        score(begun(dev, "rag:bm25,rag:rspg-pre", name="second"), bm25=0.2, rspg_pre=0.3)
        run = columns(begun(test_split, "rag:best", name="on test"))["rag:best"].run
        assert (run.retriever, run.selector) == ("rspg-pre", newer)

    @pytest.mark.parametrize("kind", ["rspg-pre", "ropg-kd"])
    def test_what_was_withdrawn_is_not_the_best_any_more(self, dev, test_split, workspace, kind):
        unloaded(workspace, kind)
        score(begun(dev, f"rag:bm25,rag:{kind}"), **{"bm25": 0.2, kind.replace("-", "_"): 0.3})
        TrainedModel.objects.update(withdrawn_at=timezone.now())
        run = columns(begun(test_split, "rag:best", name="on test"))["rag:best"].run
        assert run.retriever == "bm25"


class TestResumingAfterAWithdrawal:
    @pytest.fixture(params=["rspg-pre", "ropg-kd"])
    def kind(self, request):
        return request.param

    @pytest.fixture
    def replaced(self, workspace, kind):
        """Let these columns of an experiment fail and the others be done; another then replaces what was trained."""
        unloaded(workspace, kind)

        def replaced(experiment, *failed, state="failed"):
            runs = [columns(experiment)[key].run_id for key in failed]
            Run.objects.filter(columns__experiment=experiment).update(
                state="done", metrics={"rouge-1": 0.2}, finished_at=Now()
            )
            Run.objects.filter(pk__in=runs).update(state=state, metrics=None)
            TrainedModel.objects.update(withdrawn_at=timezone.now())
            return unloaded(workspace, kind)

        return replaced

    def resumed(self, experiment):
        advance_experiment(experiment_id=experiment.pk)
        experiment.refresh_from_db()
        resume_experiment(experiment=experiment)
        Experiment.objects.filter(pk=experiment.pk).update(versions={"torch": "2"}, hardware={"cores": 2})
        advance_experiment(experiment_id=experiment.pk)
        return columns(experiment)

    def means(self, column):
        return column.run.selector or column.run.encoder

    @pytest.mark.parametrize("state", ["failed", "cancelled"])
    def test_it_takes_the_newest(self, dev, kind, replaced, state):
        experiment = begun(dev, f"rag:bm25,rag:{kind}")
        bm25 = columns(experiment)["rag:bm25"].run
        newer = replaced(experiment, f"rag:{kind}", state=state)
        found = self.resumed(experiment)
        assert self.means(found[f"rag:{kind}"]) == (newer.encoder or newer)
        assert found["rag:bm25"].run == bm25

    def test_so_do_a_method_and_its_controls_together(self, dev, kind, replaced):
        experiment = begun(dev, f"rag:{kind}", controls=["swapped"])
        newer = replaced(experiment, f"rag:{kind}@swapped")
        found = self.resumed(experiment)
        assert [self.means(column) for column in found.values()] == [newer.encoder or newer] * 2

    def test_and_what_the_best_is_chosen_among(self, dev, kind, replaced):
        experiment = begun(dev, f"rag:bm25,rag:{kind},peft-rag:best:8")
        score(experiment, **{"bm25": 0.2, kind.replace("-", "_"): 0.3})
        newer = replaced(experiment, "peft-rag:best:8")
        found = self.resumed(experiment)
        assert self.means(found[f"rag:{kind}"]) == (newer.encoder or newer)
        assert found["peft-rag:best:8"].run is None

    def test_what_is_done_stays_as_it_was_answered(self, dev, kind, replaced):
        experiment = begun(dev, f"rag:bm25,rag:{kind}")
        before = columns(experiment)[f"rag:{kind}"].run
        replaced(experiment, "rag:bm25")
        assert self.resumed(experiment)[f"rag:{kind}"].run == before

    def test_where_none_takes_its_place_the_column_says_so_and_the_rest_goes_on(self, dev, kind, replaced):
        experiment = begun(dev, f"rag:bm25,rag:{kind}")
        replaced(experiment, f"rag:{kind}")
        TrainedModel.objects.update(withdrawn_at=timezone.now())
        found = self.resumed(experiment)
        assert found[f"rag:{kind}"].refusal.startswith("No R")


class TestPlans:
    def plan(self, split, methods, *, controls=()):
        return plan_experiment(
            Asked(
                workspace=split.dataset.workspace,
                dataset=split.dataset,
                split=split.split,
                tasks=None,
                methods=parse_methods(methods),
                controls=controls,
                base_model=a_base_model(),
                encoder=None,
                documents_wanted=2,
                hyperparameters=HYPERPARAMETERS,
                parameters=PARAMETERS,
                seed=0,
                user_limit=None,
            )
        )

    def test_it_names_the_runs_that_the_experiment_will_have(self, dev, workspace):
        unloaded(workspace)
        unloaded(workspace, "ropg-rl")
        methods = "rag:bm25,rag:rspg-pre,peft-rag:rspg-pre:8,rag:ropg-rl"
        planned = self.plan(dev, methods, controls=["swapped"])
        found = columns(begun(dev, methods, controls=["swapped"]))
        assert {column.method.key: column.identity for column in planned.columns} == {
            key: column.run.identity for key, column in found.items()
        }
        assert len(self.plan(dev, methods, controls=["swapped"]).standing) == 8

    def test_it_says_what_has_not_been_trained(self, dev):
        planned = self.plan(dev, "rag:bm25,rag:rspg-pre")
        [refused] = planned.refused
        assert (refused.method.key, refused.refusal[:12]) == ("rag:rspg-pre", "No RSPG-Pre ")
        assert planned.undecided == []

    def test_the_best_of_dev_comes_with_its_selector(self, dev, test_split, workspace):
        unloaded(workspace)
        score(begun(dev, "rag:bm25,rag:rspg-pre"), bm25=0.2, rspg_pre=0.3)
        unloaded(workspace)
        [planned] = self.plan(test_split, "rag:best").columns
        run = columns(begun(test_split, "rag:best", name="on test"))["rag:best"].run
        assert planned.identity == run.identity


@pytest.mark.parametrize(
    ("methods", "split", "needed"),
    [
        ("rag:contriever", "dev", True),
        ("rag:rspg-pre,rag:ropg-kd,peft-rag:best:8", "dev", False),
        ("rag:rspg-pre", "test", False),
        ("rag:best", "test", True),
    ],
)
def test_an_experiment_names_an_encoder_for_contriever_alone(methods, split, needed):
    assert needs_encoder(parse_methods(methods), split=split) is needed


class TestTheWholeWay:
    METHODS = "none,rag:bm25,rag:rspg-pre,rag:rspg-post,rag:ropg-kd,peft-rag:rspg-post:8"

    @pytest.fixture(autouse=True)
    def here(self, settings, tmp_path):
        settings.VAR_DIR = tmp_path

    @pytest.fixture
    def ended(self, dev, in_process):
        """Run an experiment to its end."""

        def ended(methods, **changed):
            experiment = start(dev, methods, **changed)
            in_process()
            experiment.refresh_from_db()
            assert (experiment.state, experiment.error) == ("done", "")
            return experiment

        return ended

    def test_every_question_is_answered_with_a_member_of_the_pool_and_the_scores_of_all(
        self, workspace, ended, alice, bob
    ):
        a_selector(workspace, "rspg-pre", "none", "bm25", "contriever")
        a_selector(workspace, "rspg-post", "none", "bm25", "recency", seed=1)
        a_fine_tuned_encoder(workspace)
        experiment = ended(self.METHODS, controls=["swapped"])
        [row, *_] = table_as_json(experiment_table(experiment=experiment))["rows"]
        assert {cell["n"] for cell in row["cells"].values()} == {3}
        documents = {user.pk: {document.pk for document in tweets_of(user)} for user in (alice, bob)}
        seen = 0
        for prediction in Prediction.objects.exclude(run__selector=None).select_related("run__selector", "adapter"):
            pool = [member["retriever"] for member in prediction.run.selector.pool]
            scores = prediction.candidate_scores
            assert len(scores) == 3
            assert prediction.chosen_retriever == pool[scores.index(max(scores))]
            assert bool(prediction.retrieved_document_ids) == (prediction.chosen_retriever != "none")
            whose = prediction.swapped_with_id or prediction.end_user_id
            assert set(prediction.retrieved_document_ids) <= documents[whose]
            if prediction.run.family == "peft-rag":
                assert prediction.adapter.end_user_id == whose
            seen += 1
        assert seen == 3 * 6
        assert not Prediction.objects.filter(run__selector=None).exclude(chosen_retriever="").exists()

    @pytest.mark.parametrize("scale", [50.0, -50.0])
    def test_it_gives_what_the_chosen_retriever_alone_gives(self, workspace, ended, scale):
        a_selector(workspace, "rspg-pre", "none", "bm25", scale=scale)
        a_selector(workspace, "rspg-post", "none", "bm25", scale=scale)
        found = columns(ended("none,rag:bm25,rag:rspg-pre,rag:rspg-post"))
        alone = {
            name: {one.question_id: one for one in Prediction.objects.filter(run=found[key].run)}
            for name, key in (("none", "none"), ("bm25", "rag:bm25"))
        }
        for prediction in Prediction.objects.exclude(run__selector=None):
            other = alone[prediction.chosen_retriever][prediction.question_id]
            assert (prediction.prompt, prediction.output) == (other.prompt, other.output)
