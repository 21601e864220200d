import pytest

from eval_app.methods import parse_method
from eval_app.models import DatasetSplit, Prediction, Question, Run
from eval_app.runs import adapter_plans, cancel_run, collect_generation, restart_run, run_inputs, step_run
from jobs.models import Job
from retrieval_app.models import Encoder
from tests.eval_app.stored import HYPERPARAMETERS, PARAMETERS, a_run, answered_run
from tests.eval_app.unloaded import DENSE_POOL, unloaded
from tests.people import Asked, questions_of, split_of, tweets_of
from tests.retrieval_app.vectors import an_encoder, embed
from tests.training_app.adapters import facts
from training_app.adapters import ensure_base_model, record_adapter
from training_app.models import BaseModel, Generation
from users_app.models import Quota
from users_app.quotas import set_quotas


def kinds_of_jobs():
    return sorted(Job.objects.values_list("kind", flat=True))


class TestIdentity:
    @pytest.mark.parametrize("method", ["none", "rag:bm25", "rag:contriever", "peft:8", "peft-rag:bm25:8"])
    def test_the_same_inputs_find_the_same_run(self, dev, method):
        assert a_run(dev, method) == a_run(dev, method)

    @pytest.mark.parametrize(
        "changed",
        [
            {"base_model": "another"},
            {"documents_wanted": 3},
            {"hyperparameters": {**HYPERPARAMETERS, "epochs": 2}},
            {"parameters": {**PARAMETERS, "num_beams": 2}},
            {"parameters": {**PARAMETERS, "exact": True}, "adapter_dtype": "float32"},
            {"adapter_dtype": "float32"},
            {"seed": 1},
            {"user_limit": 1},
            {"method": "peft-rag:bm25:16"},
            {"method": "peft-rag:recency:8"},
            {"method": "peft:8"},
        ],
        ids=lambda changed: ", ".join(changed),
    )
    def test_whatever_decides_the_answers_makes_another_run(self, dev, changed):
        if "base_model" in changed:
            changed = {"base_model": ensure_base_model(name="some/t5", revision="2")}
        before = a_run(dev, "peft-rag:bm25:8")
        assert a_run(dev, **{"method": "peft-rag:bm25:8", **changed}) != before

    def test_another_version_of_the_split_makes_another_run(self, dev, alice, bob):
        assert a_run(split_of(questions_of(alice, bob))) != a_run(dev)

    @pytest.mark.parametrize("method", ["none", "rag:bm25"])
    def test_what_only_training_needs_makes_no_other_run_without_an_adapter(self, dev, method):
        other = a_run(dev, method, seed=9, hyperparameters={**HYPERPARAMETERS, "epochs": 9}, adapter_dtype="float32")
        assert other == a_run(dev, method)

    def test_an_encoder_makes_another_run_for_dense_retrieval_alone(self, dev):
        one, other = {"encoder": an_encoder(revision="1")}, {"encoder": an_encoder(revision="2")}
        assert a_run(dev, "rag:contriever", **one) != a_run(dev, "rag:contriever", **other)
        assert a_run(dev, "rag:bm25", **one) == a_run(dev, "rag:bm25", **other)

    def test_how_many_documents_does_not_matter_where_none_is_retrieved(self, dev):
        assert a_run(dev, "none", documents_wanted=9) == a_run(dev, "none")

    def test_another_selector_makes_another_run(self, dev, workspace):
        one, other = unloaded(workspace), unloaded(workspace)
        assert a_run(dev, "rag:rspg-pre", selector=one) == a_run(dev, "rag:rspg-pre", selector=one)
        assert a_run(dev, "rag:rspg-pre", selector=one) != a_run(dev, "rag:rspg-pre", selector=other)
        assert a_run(dev, "rag:bm25", selector=one) == a_run(dev, "rag:bm25")

    def test_a_retriever_that_chooses_needs_its_selector(self, dev):
        with pytest.raises(ValueError, match="rag:rspg-pre needs a selector"):
            a_run(dev, "rag:rspg-pre")

    @pytest.mark.parametrize(
        ("method", "identity"),
        [
            ("none", "c5b02df4a38ef45e62a243819a92144cd15753ce9bfbddba19e3ae0220225d0e"),
            ("rag:bm25", "a46fbaf47733aa5692c2670721e2d861e576bbbfa896d95a111de31c7e0414ca"),
            ("rag:contriever", "38b06cdb7db04b6883b61070ed3ff1cbbf3eb612d2a0630a808853e5864d7174"),
            ("rag:bm25@swapped", "eaf4c7077242d43d7d99c2a1881c1c90892bbe2eebbb34e4f3f725aa607424ca"),
            ("peft:8", "3a83819a6728250c5cb78523fc28883c9e6aa566073ebade8eb1565424f36c5f"),
            ("peft-rag:contriever:8", "7e5dd80c07b743b19adb899069b23e9446b7efe9c47128ff06c3bd4c9eca7f49"),
        ],
    )
    def test_runs_that_stand_are_found_by_the_same_inputs_for_ever(self, monkeypatch, method, identity):
        monkeypatch.setattr("eval_app.runs.ENGINE_VERSION", "1")
        monkeypatch.setattr("eval_app.runs.RETRIEVAL_VERSION", "1")
        inputs = run_inputs(
            split=DatasetSplit(pk=1, task="LaMP-7"),
            method=parse_method(method),
            base_model=BaseModel(name="some/t5", revision="1"),
            encoder=Encoder(name="some/encoder", revision="1"),
            documents_wanted=2,
            hyperparameters=HYPERPARAMETERS,
            parameters=PARAMETERS,
            adapter_dtype="bfloat16",
            seed=0,
            user_limit=None,
        )
        assert inputs.identity == identity

    def test_a_run_counts_the_questions_it_asks(self, dev):
        assert a_run(dev).question_count == 3
        assert a_run(dev, user_limit=1).question_count == 2


class TestSteps:
    def test_without_anything_to_prepare_it_generates_at_once(self, dev):
        run = step_run(run_id=a_run(dev, "rag:bm25").pk)
        assert run.state == "generating"
        assert kinds_of_jobs() == ["generate"] * 3

    def test_what_is_asked_is_the_question_with_its_own_snapshot(self, dev, alice):
        run = step_run(run_id=a_run(dev, "rag:bm25").pk)
        question = Question.objects.get(split=dev, external_id="102")
        asked = Generation.objects.get(origin=f"run:{run.pk}/{question.pk}")
        assert asked.profile_document_ids == [document.pk for document in tweets_of(alice)[1:]]
        assert (asked.end_user, asked.input, asked.retriever) == (alice, question.input, "bm25")

    def test_adapters_are_trained_first_one_a_user(self, dev, alice, bob):
        run = step_run(run_id=a_run(dev, "peft:8").pk)
        assert run.state == "preparing"
        assert kinds_of_jobs() == ["train_adapter"] * 2
        assert set(Job.objects.values_list("end_user_id", flat=True)) == {alice.pk, bob.pk}

    def test_documents_are_embedded_first(self, dev):
        run = step_run(run_id=a_run(dev, "rag:contriever", encoder=an_encoder()).pk)
        assert run.state == "preparing"
        assert kinds_of_jobs() == ["embed_documents"]

    def test_what_is_embedded_is_not_asked_for_again(self, dev, alice, bob):
        encoder = an_encoder()
        for user in (alice, bob):
            embed(user, tweets_of(user), encoder)
        assert step_run(run_id=a_run(dev, "rag:contriever", encoder=encoder).pk).state == "generating"

    def test_with_a_selector_they_are_embedded_by_every_encoder_of_its_pool(self, dev, workspace, alice, bob):
        first, second = (an_encoder(revision=revision) for revision in "12")
        run = a_run(dev, "rag:rspg-pre", selector=unloaded(workspace, pool=DENSE_POOL))
        assert step_run(run_id=run.pk).state == "preparing"
        asked = Job.objects.filter(kind="embed_documents").values_list("payload__encoder_id", flat=True)
        assert set(asked) == {first.pk, second.pk}
        for user in (alice, bob):
            for encoder in (first, second):
                embed(user, tweets_of(user), encoder)
        Job.objects.all().delete()
        assert step_run(run_id=run.pk).state == "generating"

    def test_a_selector_whose_encoders_are_not_here_fails_the_run_with_the_reason(self, dev, workspace):
        run = step_run(run_id=a_run(dev, "rag:rspg-pre", selector=unloaded(workspace, pool=DENSE_POOL)).pk)
        assert (run.state, "is not recorded here" in run.error) == ("failed", True)

    def test_what_is_asked_goes_with_its_selector(self, dev, workspace):
        selector = unloaded(workspace)
        step_run(run_id=a_run(dev, "rag:rspg-pre", selector=selector).pk)
        assert set(Generation.objects.values_list("retriever", "selector")) == {("rspg-pre", selector.pk)}

    def test_adapters_that_stand_are_used(self, dev, alice, bob):
        run = a_run(dev, "peft:8")
        made = {}
        for plan, user in zip(adapter_plans(run=run), (alice, bob), strict=True):
            made[user.pk] = record_adapter(end_user=user, plan=plan, facts=facts(str(user.pk))).pk
        assert step_run(run_id=run.pk).state == "generating"
        assert set(Generation.objects.values_list("end_user_id", "adapter_id")) == set(made.items())

    def test_a_user_with_nothing_to_learn_from_is_answered_by_the_base_model(self, workspace, alice):
        split = split_of([Asked(alice, "tweet: hello", "hi", [])])
        run = step_run(run_id=a_run(split, "peft:8").pk)
        assert run.state == "generating"
        assert Generation.objects.get().adapter is None

    def test_stepping_again_asks_for_nothing_twice(self, dev):
        run = a_run(dev, "peft-rag:contriever:8", encoder=an_encoder())
        step_run(run_id=run.pk)
        before = kinds_of_jobs()
        step_run(run_id=run.pk)
        assert kinds_of_jobs() == before == ["embed_documents", "train_adapter", "train_adapter"]

    def test_two_runs_that_need_the_same_adapters_have_them_trained_once(self, dev):
        step_run(run_id=a_run(dev, "peft:8").pk)
        step_run(run_id=a_run(dev, "peft-rag:bm25:8").pk)
        assert kinds_of_jobs() == ["train_adapter"] * 2

    @pytest.mark.parametrize(("limit", "state"), [(2, "preparing"), (1, "failed")])
    def test_no_more_adapters_are_trained_than_the_workspace_may_have(self, dev, workspace, limit, state):
        set_quotas(workspace=workspace, limits={Quota.ADAPTERS: limit})
        run = step_run(run_id=a_run(dev, "peft:8").pk)
        assert run.state == state
        assert ("may have 1 adapters" in run.error, Job.objects.exists()) == (state == "failed", state != "failed")

    def test_adapters_that_stand_or_are_trained_already_need_no_more_room(self, dev, workspace, alice):
        run, another = a_run(dev, "peft:8"), a_run(dev, "peft-rag:bm25:8")
        hers = next(plan for plan in adapter_plans(run=run) if plan.end_user_id == alice.pk)
        record_adapter(end_user=alice, plan=hers, facts=facts())
        set_quotas(workspace=workspace, limits={Quota.ADAPTERS: 2})
        assert [step_run(run_id=one.pk).state for one in (run, another)] == ["preparing"] * 2
        assert kinds_of_jobs() == ["train_adapter"]

    def test_what_got_lost_is_asked_for_again(self, dev):
        run = step_run(run_id=a_run(dev).pk)
        Job.objects.all().delete()
        assert step_run(run_id=run.pk).state == "generating"
        assert kinds_of_jobs() == ["generate"] * 3
        assert Generation.objects.count() == 3

    def test_only_what_has_no_answer_is_asked(self, dev):
        run = a_run(dev)
        question = Question.objects.get(split=dev, external_id="101")
        Prediction.objects.create(run=run, question=question, end_user=question.end_user, output="answered")
        step_run(run_id=run.pk)
        assert Generation.objects.count() == 2

    def test_when_all_is_answered_it_is_scored(self, dev):
        run = answered_run(dev, ["a", "b", "c"])
        Run.objects.filter(pk=run.pk).update(state=Run.State.GENERATING)
        assert step_run(run_id=run.pk).state == "scoring"
        assert kinds_of_jobs() == ["score_run"]

    def test_it_is_scored_although_a_question_went_with_its_user(self, dev, bob):
        run = answered_run(dev, ["a", "b", "c"])
        Run.objects.filter(pk=run.pk).update(state=Run.State.GENERATING)
        bob.delete()
        assert step_run(run_id=run.pk).state == "scoring"

    def test_a_scoring_that_got_lost_is_asked_for_again(self, dev):
        run = answered_run(dev, ["a", "b", "c"])
        Run.objects.filter(pk=run.pk).update(state=Run.State.SCORING)
        for _ in range(2):
            assert step_run(run_id=run.pk).state == "scoring"
        assert kinds_of_jobs() == ["score_run"]

    def test_a_run_that_is_done_stays_as_it_is(self, dev):
        run = answered_run(dev, ["a", "b", "c"])
        assert step_run(run_id=run.pk).state == "done"
        assert kinds_of_jobs() == []


class TestAnswers:
    @pytest.fixture
    def asked(self, dev):
        """A generating run and one of its generations, answered."""
        run = step_run(run_id=a_run(dev).pk)
        generation = Generation.objects.order_by("pk")[0]
        generation.prompt, generation.output = "the prompt", "the answer"
        generation.retrieved_document_ids, generation.retrieved_scores = [3], [0.5]
        return run, generation

    def test_an_answer_becomes_the_runs_prediction(self, asked, alice):
        run, generation = asked
        assert collect_generation(generation)
        stored = Prediction.objects.get(run=run)
        assert (stored.question.external_id, stored.end_user) == ("100", alice)
        assert (stored.prompt, stored.output, stored.retrieved_document_ids) == ("the prompt", "the answer", [3])

    def test_what_a_selector_chose_stays_with_the_prediction(self, asked):
        run, generation = asked
        generation.chosen_retriever, generation.candidate_scores = "bm25", [0.25, 1.5]
        collect_generation(generation)
        stored = Prediction.objects.get(run=run)
        assert (stored.chosen_retriever, stored.candidate_scores) == ("bm25", [0.25, 1.5])

    def test_an_answer_that_comes_twice_counts_once(self, asked):
        run, generation = asked
        collect_generation(generation)
        generation.output = "another"
        collect_generation(generation)
        assert Prediction.objects.get(run=run).output == "the answer"

    def test_an_answer_that_nobody_waits_for_any_more_is_dropped(self, asked):
        run, generation = asked
        run.delete()
        assert collect_generation(generation)
        assert not Prediction.objects.exists()


class TestEnds:
    def test_a_cancelled_run_keeps_its_answers_and_asks_for_nothing_more(self, dev):
        run = step_run(run_id=a_run(dev).pk)
        cancel_run(run=run)
        run.refresh_from_db()
        assert run.state == "cancelled"
        assert set(Job.objects.values_list("state", flat=True)) == {"cancelled"}
        assert step_run(run_id=run.pk).state == "cancelled"

    def test_a_cancelled_run_keeps_no_words_of_what_it_asked(self, dev):
        cancel_run(run=step_run(run_id=a_run(dev).pk))
        assert not Generation.objects.exists()

    def test_a_cancelled_run_goes_on_from_what_it_has(self, dev):
        run = step_run(run_id=a_run(dev).pk)
        question = Question.objects.get(split=dev, external_id="101")
        Prediction.objects.create(run=run, question=question, end_user=question.end_user, output="answered")
        cancel_run(run=run)
        run.refresh_from_db()
        restart_run(run=run)
        assert step_run(run_id=run.pk).state == "generating"
        assert Generation.objects.count() == 2

    def test_a_run_that_another_experiment_has_restarted_keeps_what_it_asks(self, dev):
        run = step_run(run_id=a_run(dev).pk)
        cancel_run(run=run)
        run.refresh_from_db()
        restart_run(run=Run.objects.get(pk=run.pk))
        step_run(run_id=run.pk)
        restart_run(run=run)
        run.refresh_from_db()
        assert (run.state, Generation.objects.count()) == ("generating", 3)

    def test_a_run_that_is_done_is_neither_cancelled_nor_restarted(self, dev):
        run = answered_run(dev, ["a", "b", "c"])
        cancel_run(run=run)
        restart_run(run=run)
        run.refresh_from_db()
        assert run.state == "done"
