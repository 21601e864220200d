"""The builder of experiments: what is typed, what it would take, and what it starts."""

import pytest

from eval_app.models import Experiment, ExperimentRun, Run
from jobs.models import Job
from retrieval_app.retrievers import TITLES
from tests.eval_app.stored import answered_run, small_encoder, small_t5
from tests.eval_app.trained import a_trained_model
from training_app.models import Adapter, BaseModel
from users_app.models import Membership

ADDRESS = "/w/acme/experiments/new/"
ESTIMATE = "/w/acme/experiments/new/estimate/"
POOL = ("none", "bm25", "recency")


def typed(split, /, **changed):
    """What a browser sends of the form."""
    form = {
        "name": "first",
        "dataset": split.dataset.name,
        "split": split.split,
        "families": ["none", "rag"],
        "retrievers": ["bm25"],
        "ranks": "8",
        "base_model": "",
        "seeds": "0",
        "documents_wanted": "2",
        "num_beams": "1",
        "max_input_tokens": "128",
        "max_output_tokens": "4",
        "epochs": "1",
        "learning_rate": "0.0005",
        "alpha": "32",
        "dropout": "0.1",
        "weight_decay": "0.0001",
        "batch_size": "16",
    }
    return {**form, **changed}


@pytest.fixture
def ready(dev):
    """The dev split, where the default models have been loaded."""
    small_t5()
    return dev


def methods_of(experiment):
    return list(experiment.columns.order_by("pk").values_list("method", flat=True))


class TestStarting:
    def test_each_family_comes_with_each_retriever_and_rank(self, browser, ready):
        families = ["none", "rag", "peft", "peft-rag"]
        form = typed(ready, families=families, retrievers=["bm25", "recency"], ranks="8, 16")
        answer = browser.post(ADDRESS, form)
        experiment = Experiment.objects.get()
        assert answer.headers["Location"] == f"/w/acme/experiments/{experiment.pk}/"
        assert methods_of(experiment) == [
            "none",
            "rag:bm25",
            "rag:recency",
            "peft:8",
            "peft:16",
            "peft-rag:bm25:8",
            "peft-rag:bm25:16",
            "peft-rag:recency:8",
            "peft-rag:recency:16",
        ]

    def test_what_is_typed_is_what_is_run(self, browser, ready):
        browser.post(ADDRESS, typed(ready, users="1", seeds="5", documents_wanted="3", epochs="2", exact="on"))
        stored = Experiment.objects.get().configuration
        assert (stored["user_limit"], stored["seed"], stored["documents_wanted"]) == (1, 5, 3)
        assert (stored["hyperparameters"]["epochs"], stored["parameters"]["exact"]) == (2, True)
        assert "rank" not in stored["hyperparameters"]

    def test_several_seeds_make_an_experiment_each(self, browser, ready):
        answer = browser.post(ADDRESS, typed(ready, seeds="0, 7"))
        assert answer.headers["Location"] == "/w/acme/experiments/"
        assert [(one.name, one.configuration["seed"]) for one in Experiment.objects.order_by("pk")] == [
            ("first seed 0", 0),
            ("first seed 7", 7),
        ]

    def test_it_waits_for_a_model_worker_to_say_where_it_is_made(self, browser, ready):
        browser.post(ADDRESS, typed(ready))
        assert list(Job.objects.values_list("kind", flat=True)) == ["record_provenance"]

    def test_a_viewer_starts_nothing_and_is_told_why(self, member, ready):
        viewer = member(Membership.Role.VIEWER)
        assert "Starting one takes the role researcher" in viewer.get(ADDRESS).content.decode()
        assert viewer.post(ADDRESS, typed(ready)).status_code == 403
        assert not Experiment.objects.exists()


class TestErrors:
    @pytest.mark.parametrize(
        ("changed", "field", "remedy"),
        [
            ({"name": " "}, "name", "Give it a name"),
            ({"dataset": "gone"}, "dataset", "Choose one that is listed"),
            ({"split": "test"}, "split", "Import one, or name another"),
            ({"tasks": ["LaMP-99"]}, "tasks", "Choose among those listed"),
            ({"families": []}, "families", "Choose at least one method"),
            ({"retrievers": []}, "retrievers", "choose at least one"),
            ({"families": ["peft"], "ranks": ""}, "ranks", "write at least one, such as 8"),
            ({"ranks": "8, many"}, "ranks", "Write whole numbers from 1 to 256"),
            ({"ranks": "257"}, "ranks", "Write whole numbers from 1 to 256"),
            ({"users": "0"}, "users", "Write a whole number from 1"),
            ({"seeds": "-1"}, "seeds", "Write whole numbers from 0"),
            ({"seeds": ","}, "seeds", "such as 0"),
            ({"documents_wanted": "51"}, "documents_wanted", "Write a whole number from 1 to 50."),
            ({"learning_rate": "nan"}, "learning_rate", "Write a number from 1e-08 to 1."),
            ({"dropout": "1"}, "dropout", "Write a number from 0 to 0.9."),
            ({"base_model": "999999"}, "base_model", "Choose one that is listed"),
            ({"retrievers": ["contriever"]}, "retrievers", "use BM25 or recency"),
        ],
        ids=str,
    )
    def test_each_stands_at_its_field_with_a_remedy_and_nothing_is_started(
        self, browser, ready, changed, field, remedy
    ):
        answer = browser.post(ADDRESS, typed(ready, **changed))
        assert answer.status_code == 422
        assert list(answer.context["form"].errors) == [field]
        assert remedy in answer.context["form"].errors[field][0]
        assert not Experiment.objects.exists()

    def test_what_was_typed_is_kept(self, browser, ready):
        page = browser.post(ADDRESS, typed(ready, name="<b>mine</b>", ranks="many", learning_rate="0.25")).content
        assert b'value="&lt;b&gt;mine&lt;/b&gt;"' in page
        assert b'value="many"' in page
        assert b'value="0.25"' in page

    def test_a_name_that_stands_for_other_settings_is_refused_at_the_name(self, browser, ready):
        browser.post(ADDRESS, typed(ready))
        answer = browser.post(ADDRESS, typed(ready, documents_wanted="4"))
        assert "stands with other settings (documents_wanted differ)" in answer.context["form"].errors["name"][0]

    def test_of_several_seeds_all_start_or_none(self, browser, ready, settings):
        settings.EXPERIMENTS_AT_ONCE = 1
        answer = browser.post(ADDRESS, typed(ready, seeds="0, 1"))
        assert "under way already" in answer.context["form"].non_field_errors()[0]
        assert not Experiment.objects.exists()

    def test_a_default_model_that_is_not_loaded_is_asked_for(self, browser, dev):
        answer = browser.post(ADDRESS, typed(dev))
        assert "has not been loaded yet" in answer.context["form"].errors["base_model"][0]
        assert list(Job.objects.values_list("kind", flat=True)) == ["record_default_models"]

    def test_more_methods_than_an_experiment_has_are_counted(self, browser, ready):
        form = typed(
            ready,
            families=["peft-rag"],
            retrievers=["bm25", "recency", "best"],
            ranks="1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17",
        )
        assert "These are 51 methods" in browser.post(ADDRESS, form).context["form"].errors["families"][0]


class TestWhereTheFormBegins:
    def test_every_retriever_can_be_ticked(self, browser, ready):
        listed = [value for value, _ in browser.get(ADDRESS).context["form"].fields["retrievers"].choices]
        assert listed == [*TITLES, "best"]

    def test_an_address_may_say_a_form(self, browser, ready):
        form = browser.get(f"{ADDRESS}?families=peft&ranks=4&name=from+a+link&unknown=1").context["form"]
        assert (form["families"].value(), form["ranks"].value(), form["name"].value()) == (["peft"], "4", "from a link")

    def test_another_experiment_may_be_copied(self, browser, ready):
        browser.post(ADDRESS, typed(ready, families=["none", "peft"], ranks="16", users="1"))
        form = browser.get(f"{ADDRESS}?from={Experiment.objects.get().pk}").context["form"]
        assert (form["families"].value(), form["ranks"].value(), form["users"].value()) == (["none", "peft"], "16", 1)
        assert not form["name"].value()

    @pytest.mark.parametrize("number", ["x", "²", "9" * 30, "999999"])
    def test_a_number_that_names_none_is_ignored(self, browser, ready, number):
        assert browser.get(ADDRESS, {"from": number}).status_code == 200


def estimated(browser, split, /, **changed):
    answer = browser.get(ESTIMATE, typed(split, **changed))
    assert answer.status_code == 200
    return answer.context


def counts():
    return [model.objects.count() for model in (Experiment, ExperimentRun, Run, Adapter, Job, BaseModel)]


class TestTheEstimate:
    METHODS = {"families": ["none", "rag", "peft"], "retrievers": ["bm25", "recency"], "controls": ["swapped"]}

    def test_it_makes_nothing(self, browser, ready):
        before = counts()
        estimated(browser, ready, **self.METHODS)
        assert counts() == before

    def test_it_counts_runs_adapters_and_questions(self, browser, ready):
        plan = estimated(browser, ready, **self.METHODS)["plan"]
        # Three questions of two users; of swapped profiles there are as many as of one's own.
        assert (plan.runs, plan.questions, plan.adapters_to_train, plan.standing) == (7, 7 * 3, 2, [])

    def test_what_it_says_stands_is_what_is_reused(self, browser, ready, in_process):
        browser.post(ADDRESS, typed(ready, families=["none", "rag", "peft"]))
        in_process()
        before = set(Run.objects.values_list("pk", flat=True))
        plan = estimated(browser, ready, name="second", **self.METHODS)["plan"]
        browser.post(ADDRESS, typed(ready, name="second", **self.METHODS))
        in_process()
        second = Experiment.objects.get(name="second")
        used = set(second.columns.values_list("run", flat=True))
        assert second.state == "done"
        assert (plan.runs, len(plan.standing), plan.done) == (len(used), len(used & before), len(used & before))
        assert {run.pk for run in plan.standing} == used & before
        assert plan.adapters_to_train == 0
        assert Adapter.objects.count() == plan.adapters_standing

    def test_the_best_retriever_is_known_once_those_compared_are_done(self, browser, ready, in_process):
        best = {"families": ["none", "rag", "peft-rag"], "retrievers": ["bm25", "recency", "best"]}
        before = estimated(browser, ready, **best)["plan"]
        assert [column.method.key for column in before.undecided] == ["rag:best", "peft-rag:best:8"]
        browser.post(ADDRESS, typed(ready, **best))
        in_process()
        after = estimated(browser, ready, **best)["plan"]
        assert (after.undecided, after.done, after.questions) == ([], after.runs, 0)
        assert after.runs == Run.objects.count()

    def test_a_run_that_failed_goes_on_for_who_asks_next(self, browser, ready, in_process):
        browser.post(ADDRESS, typed(ready, families=["none"]))
        in_process("record_provenance", "advance_experiment")
        browser.post(f"/w/acme/experiments/{Experiment.objects.get().pk}/", {"action": "cancel"})
        plan = estimated(browser, ready, name="second", families=["none"])["plan"]
        assert (len(plan.standing), plan.to_go_on, plan.questions) == (1, 1, 3)
        browser.post(ADDRESS, typed(ready, name="second", families=["none"]))
        in_process()
        assert (Experiment.objects.get(name="second").state, Run.objects.get().state) == ("done", "done")

    def test_only_the_users_that_are_asked_for_are_counted(self, browser, ready):
        plan = estimated(browser, ready, families=["peft"], users="1")["plan"]
        assert (plan.questions, plan.adapters_to_train) == (2, 1)

    def test_a_selector_that_reads_outputs_has_one_of_each_member_of_its_pool(self, browser, ready, workspace):
        base = small_t5()
        told = {"base_model": f"{base.name}@{base.revision}", "documents_wanted": 2}
        for kind in ("rspg-pre", "rspg-post"):
            a_trained_model(workspace, kind=kind, **told, pool=[{"retriever": name} for name in POOL])
        context = estimated(browser, ready, families=["rag"], retrievers=["rspg-pre", "rspg-post"])
        plan, estimate = context["plan"], context["estimate"]
        assert ([answers.outputs for answers in plan.answers], plan.questions, plan.outputs) == ([1, 3], 6, 3 + 9)
        assert [part.what for part in estimate.parts] == [
            "answer 3 questions of LaMP-7 by RAG RSPG-Pre",
            "answer 3 questions of LaMP-7 by RAG RSPG-Post, each chosen among 3 outputs",
        ]

    def test_it_takes_as_much_longer(self, browser, ready, workspace, in_process):
        browser.post(ADDRESS, typed(ready, families=["rag"]))
        in_process()
        base = small_t5()
        told = {"base_model": f"{base.name}@{base.revision}", "documents_wanted": 2}
        a_trained_model(workspace, kind="rspg-post", **told, pool=[{"retriever": name} for name in POOL])
        [alone] = estimated(browser, ready, families=["rag"], retrievers=["recency"])["estimate"].parts
        [chosen] = estimated(browser, ready, families=["rag"], retrievers=["rspg-post"])["estimate"].parts
        assert chosen.seconds == pytest.approx(3 * alone.seconds)

    def test_without_any_measure_or_shape_it_is_unknown(self, browser, ready):
        context = estimated(browser, ready, **self.METHODS)
        estimate = context["estimate"]
        assert (estimate.seconds.known, estimate.size_bytes.known, estimate.kwh.known) == (0, 0, 0)
        assert any("unknown, as nothing was measured here with small" in basis for basis in estimate.bases)

    def test_with_measured_runs_it_is_by_these(self, browser, ready, in_process):
        browser.post(ADDRESS, typed(ready, families=["none", "peft"]))
        in_process()
        trained = Run.objects.get(family="peft")
        estimate = estimated(browser, ready, families=["peft"], ranks="8", epochs="2")["estimate"]
        training, answering = estimate.parts
        assert training.seconds == pytest.approx(2 * trained.costs["training_seconds"])
        assert training.size_bytes == pytest.approx(trained.costs["adapter_bytes"])
        assert answering.seconds > 0
        assert "training measured here in runs of the same task and rank, in proportion to 2 epochs" in training.basis

    def test_a_published_shape_gives_the_cost_model_s_word_with_its_assumptions(self, browser, dev):
        model = BaseModel.objects.create(name="google/flan-t5-base", revision="1" * 40)
        estimate = estimated(browser, dev, families=["peft"], base_model=str(model.pk))["estimate"]
        assert min(estimate.seconds.value, estimate.kwh.value, estimate.size_bytes.value) > 0
        assert any("on one H200 SXM at 40% of its peak and 700 W, PUE 1.58" in basis for basis in estimate.bases)

    def test_columns_that_cannot_run_say_why(self, browser, ready):
        context = estimated(browser, ready, users="1", controls=["swapped"])
        assert [column.method.key for column in context["plan"].refused] == ["rag:bm25@swapped"]

    def test_a_form_that_is_not_in_order_is_told_what_is_missing(self, browser, ready):
        problems = estimated(browser, ready, families=[], seeds="x")["problems"]
        assert [problem.partition(":")[0] for problem in problems] == ["Families", "Seeds"]

    def test_it_asks_the_database_a_bounded_number_of_times(self, browser, ready, django_assert_max_num_queries):
        small_encoder()
        answered_run(ready, ["rain", "my bike", "garden"], base_model=small_t5())
        with django_assert_max_num_queries(30):
            estimated(
                browser,
                ready,
                families=["none", "rag", "peft", "peft-rag"],
                retrievers=["bm25", "recency", "contriever", "best"],
                ranks="8,16,32,64",
                controls=["swapped"],
                users="1",
            )
