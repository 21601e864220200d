import pytest

from eval_app.models import Prediction, Question, UserImprovement
from eval_app.reports import NO_GOLDS, build_report, experiment_table, run_scores, score_run, truth_has_come
from eval_app.table import table_as_json
from lamp.catalogue import get_task
from lamp.metrics import evaluate, sample_scores
from retrieval_app.services import ensure_encoder
from tests.eval_app.choosing import a_choosing_run, a_selector
from tests.eval_app.stored import answered_run, conclude, ended
from tests.people import Asked, questions_of, split_of, tweets_of

GOLDS = ["rain on my roses again", "my bike loves the muddy trail", "garden gloves gone again"]
POOR = ["rain", "bike", "nothing"]
BETTER = ["rain on my roses", "bike", "garden gloves"]


def rows(experiment):
    return {row["metric"]: row for row in table_as_json(experiment_table(experiment=experiment))["rows"]}


class TestScoring:
    def test_a_run_scores_as_its_exported_files_would(self, dev):
        run = answered_run(dev, BETTER)
        ids = ["100", "101", "102"]
        expected = evaluate(get_task("LaMP-7"), dict(zip(ids, BETTER, strict=True)), dict(zip(ids, GOLDS, strict=True)))
        assert run.metrics == expected
        run.refresh_from_db()
        assert (run.state, run.metrics) == ("done", expected)

    def test_each_prediction_keeps_its_own_scores(self, dev):
        answered_run(dev, BETTER)
        stored = Prediction.objects.order_by("question__position").values_list("scores", flat=True)
        task = get_task("LaMP-7")
        assert list(stored) == [sample_scores(task, said, wanted) for said, wanted in zip(BETTER, GOLDS, strict=True)]

    def test_scoring_again_changes_nothing(self, dev):
        run = answered_run(dev, BETTER)
        before = (run.metrics, list(Prediction.objects.order_by("pk").values()))
        score_run(run=run)
        assert (run.metrics, list(Prediction.objects.order_by("pk").values())) == before

    def test_recorded_scores_are_read_back_as_they_were_made(self, dev):
        run = answered_run(dev, BETTER)
        assert run_scores(run=run).values == run.metrics

    def test_a_run_of_which_everybody_was_erased_ends_with_nothing_measured(self, dev):
        run = answered_run(dev, BETTER)
        Prediction.objects.all().delete()
        score_run(run=run)
        run.refresh_from_db()
        assert (run.state, run.metrics) == ("done", {})

    def test_a_split_without_golds_is_predicted_and_not_scored(self, alice, bob):
        unknown = [Asked(one.end_user, one.input, None, one.documents) for one in questions_of(alice, bob)]
        run = answered_run(split_of(unknown, split="test"), BETTER)
        assert (run.state, run.metrics) == ("done", None)
        assert set(Prediction.objects.values_list("scores", flat=True)) == {None}

    def test_a_classification_has_its_macro_f1_as_well(self, alice):
        question = "Which tag does this movie relate to? description: "
        asked = [Asked(alice, question + str(at), tag, []) for at, tag in enumerate(["comedy", "action", "comedy"])]
        run = answered_run(split_of(asked, task="LaMP-2"), ["comedy", "comedy", "nonsense"])
        expected = evaluate(
            get_task("LaMP-2"),
            {"0": "comedy", "1": "comedy", "2": "nonsense"},
            {"0": "comedy", "1": "action", "2": "comedy"},
        )
        assert run.metrics == expected
        assert set(expected) == {"accuracy", "f1"}

    def test_costs_are_of_this_run(self, dev):
        run = answered_run(dev, BETTER)
        Prediction.objects.filter(run=run).update(input_tokens=10, output_tokens=2, model_ms=4.0)
        score_run(run=run)
        assert (run.costs["input_tokens"], run.costs["output_tokens"], run.costs["model_ms"]) == (30, 6, 4.0)
        assert run.costs["adapters"] == 0


class TestImprovements:
    @pytest.fixture
    def improved(self, dev):
        ended(dev, {"none": answered_run(dev, POOR), "rag:bm25": answered_run(dev, BETTER, method="rag:bm25")})

    def of(self, user):
        return UserImprovement.objects.get(end_user=user)

    def test_each_user_has_one_record_for_all_their_questions(self, improved, alice, bob):
        assert (self.of(alice).question_count, self.of(bob).question_count) == (2, 1)

    def test_a_user_is_better_or_as_before(self, improved, alice, bob):
        assert (self.of(alice).direction, self.of(bob).direction) == (1, 0)

    def test_a_score_is_the_mean_over_the_users_questions(self, improved, alice):
        task = get_task("LaMP-7")
        hers = [sample_scores(task, BETTER[at], GOLDS[at])["rouge-1"] for at in (0, 2)]
        assert self.of(alice).metric == "rouge-1"
        assert self.of(alice).score == pytest.approx(sum(hers) / 2)

    def test_the_profile_size_is_the_mean_over_the_users_snapshots(self, dev, alice):
        one, two, three, *_ = tweets_of(alice)
        asked = [Asked(alice, "a: b", "c", [one, two, three]), Asked(alice, "a: d", "e", [one])]
        split = split_of(asked, dataset="sizes")
        ended(
            split,
            {"none": answered_run(split, ["", ""]), "rag:bm25": answered_run(split, ["c", "e"], method="rag:bm25")},
        )
        assert self.of(alice).profile_size == 2.0

    def test_less_error_is_better(self, alice):
        asked = [Asked(alice, "What is the score of the following review? review: fine", "4", [])]
        split = split_of(asked, task="LaMP-3")
        ended(split, {"none": answered_run(split, ["1"]), "rag:bm25": answered_run(split, ["4"], method="rag:bm25")})
        assert (self.of(alice).metric, self.of(alice).direction) == ("MAE", 1)

    def test_a_report_made_again_adds_no_record(self, dev):
        experiment = ended(
            dev, {"none": answered_run(dev, POOR), "rag:bm25": answered_run(dev, BETTER, method="rag:bm25")}
        )
        before = list(UserImprovement.objects.order_by("pk").values())
        build_report(experiment=experiment)
        assert list(UserImprovement.objects.order_by("pk").values()) == before


class TestTable:
    def test_it_shows_every_column_that_ran_and_why_others_did_not(self, dev):
        cells = rows(
            ended(
                dev,
                {
                    "none": answered_run(dev, POOR),
                    "rag:bm25": answered_run(dev, BETTER, method="rag:bm25"),
                    "rag:recency": "its documents have no dates",
                },
            )
        )["rouge-1"]["cells"]
        assert list(cells) == ["none", "rag:bm25", "rag:recency"]
        assert cells["rag:bm25"]["value"] > cells["none"]["value"]
        assert (cells["rag:bm25"]["n"], cells["rag:bm25"]["best"]) == (3, True)
        assert 0 < cells["rag:bm25"]["p_value"] <= 1
        assert cells["rag:recency"] == {"value": None, "n": 0, "reason": "its documents have no dates"}

    def test_a_split_without_golds_says_so(self, alice, bob):
        unknown = [Asked(one.end_user, one.input, None, one.documents) for one in questions_of(alice, bob)]
        split = split_of(unknown, split="test")
        assert rows(ended(split, {"none": answered_run(split, POOR)}))["rouge-1"]["cells"]["none"]["reason"] == NO_GOLDS

    def test_one_run_may_stand_in_two_columns(self, dev):
        run = answered_run(dev, BETTER, method="rag:bm25")
        cells = rows(ended(dev, {"none": answered_run(dev, POOR), "rag:bm25": run, "rag:best": run}))["rouge-L"][
            "cells"
        ]
        assert cells["rag:best"] == {**cells["rag:bm25"], "retriever": "bm25"}

    def test_without_a_baseline_nothing_is_compared(self, dev):
        cells = rows(ended(dev, {"rag:bm25": answered_run(dev, BETTER, method="rag:bm25")}))["rouge-1"]["cells"]
        assert "p_value" not in cells["rag:bm25"]
        assert not UserImprovement.objects.exists()

    def test_a_report_survives_its_way_through_the_database_to_the_last_digit(self, dev):
        experiment = ended(
            dev, {"none": answered_run(dev, POOR), "rag:bm25": answered_run(dev, BETTER, method="rag:bm25")}
        )
        before = rows(experiment)
        experiment.refresh_from_db()
        assert rows(experiment) == before

    def test_an_experiment_that_has_not_ended_has_no_table(self, dev):
        experiment = ended(dev, {})
        experiment.report = None
        with pytest.raises(ValueError, match="has not ended"):
            experiment_table(experiment=experiment)

    def test_published_numbers_stand_beside_it_only_where_asked_for(self, dev):
        experiment = ended(dev, {"none": answered_run(dev, POOR)})
        assert table_as_json(experiment_table(experiment=experiment))["reference"] is None
        experiment.configuration["reference"] = True
        conclude(experiment)
        assert table_as_json(experiment_table(experiment=experiment))["reference"]["published"] is True


class TestControls:
    def test_a_control_is_tested_against_its_own_column_by_hand(self, dev):
        own = answered_run(dev, BETTER, method="rag:bm25")
        swapped = answered_run(dev, POOR, method="rag:bm25@swapped")
        experiment = ended(dev, {"none": answered_run(dev, POOR), "rag:bm25": own, "rag:bm25@swapped": swapped})
        row = rows(experiment)["rouge-1"]
        control = row["cells"]["rag:bm25"]["control"]
        # Of two users Alice's answers differ: own and swapped as they are and changed round are equally far apart.
        assert control == {"value": swapped.metrics["rouge-1"], "n": 3, "p_value": 1.0, "p_holm": 1.0}
        assert row["cells"]["rag:bm25"]["value"] > control["value"]

    def test_one_control_may_stand_in_two_columns(self, dev):
        own, swapped = answered_run(dev, BETTER, method="rag:bm25"), answered_run(dev, POOR, method="rag:bm25@swapped")
        experiment = ended(
            dev,
            {
                "none": answered_run(dev, POOR),
                "rag:bm25": own,
                "rag:bm25@swapped": swapped,
                "rag:best": own,
                "rag:best@swapped": swapped,
            },
        )
        cells = rows(experiment)["rouge-1"]["cells"]
        assert list(cells) == ["none", "rag:bm25", "rag:best"]
        told = [{**cells[key]["control"], "p_holm": None} for key in ("rag:bm25", "rag:best")]
        assert told[0] == told[1]

    def test_a_control_leaves_no_improvements(self, dev):
        own, swapped = answered_run(dev, BETTER, method="rag:bm25"), answered_run(dev, POOR, method="rag:bm25@swapped")
        ended(dev, {"none": answered_run(dev, POOR), "rag:bm25": own, "rag:bm25@swapped": swapped})
        assert set(UserImprovement.objects.values_list("run", flat=True)) == {own.pk}

    def test_a_control_that_was_refused_says_why(self, dev):
        own = answered_run(dev, BETTER, method="rag:bm25")
        experiment = ended(
            dev, {"none": answered_run(dev, POOR), "rag:bm25": own, "rag:bm25@swapped": "there is nobody else"}
        )
        control = rows(experiment)["rouge-1"]["cells"]["rag:bm25"]["control"]
        assert control == {"value": None, "n": 0, "reason": "there is nobody else"}


class TestShareOfThePossible:
    ORACLE = ["rain on my roses again", "my bike loves mud", "garden gloves"]

    @pytest.fixture
    def known(self, dev):
        """The dev split with the oracle's answers."""
        for question, answer in zip(Question.objects.filter(split=dev).order_by("position"), self.ORACLE, strict=True):
            question.oracle_answer = answer
            question.save()
        dev.has_oracle = True
        dev.save()
        return dev

    def mean(self, outputs, metric="rouge-1", only=(0, 1, 2)):
        return sum(sample_scores(get_task("LaMP-7"), outputs[at], GOLDS[at])[metric] for at in only) / len(only)

    def test_it_is_computed_from_the_oracles_own_answers(self, known):
        experiment = ended(
            known, {"none": answered_run(known, POOR), "rag:bm25": answered_run(known, BETTER, method="rag:bm25")}
        )
        for metric in ("rouge-1", "rouge-L"):
            none, own, oracle = (self.mean(outputs, metric) for outputs in (POOR, BETTER, self.ORACLE))
            row = rows(experiment)[metric]
            assert row["oracle"]["value"] == pytest.approx(oracle)
            assert row["cells"]["none"]["share_of_possible"] == 0.0
            assert row["cells"]["rag:bm25"]["share_of_possible"] == pytest.approx((own - none) / (oracle - none))

    def test_with_a_limit_of_users_only_their_questions_count(self, known, alice):
        hers = Question.objects.filter(split=known, end_user=alice)
        runs = {"none": answered_run(known, POOR), "rag:bm25": answered_run(known, BETTER, method="rag:bm25")}
        for run in runs.values():
            run.predictions.exclude(question__in=hers).delete()
        row = rows(ended(known, runs, user_limit=1))["rouge-1"]
        none, own, oracle = (self.mean(outputs, only=(0, 2)) for outputs in (POOR, BETTER, self.ORACLE))
        assert row["oracle"]["value"] == pytest.approx(oracle)
        assert row["cells"]["rag:bm25"]["share_of_possible"] == pytest.approx((own - none) / (oracle - none))

    def test_the_macro_f1_of_the_oracle_is_over_all_its_answers(self, alice):
        question = "Which tag does this movie relate to? description: "
        golds, told = ["comedy", "action", "comedy"], ["comedy", "action", "action"]
        split = split_of([Asked(alice, question + str(at), tag, []) for at, tag in enumerate(golds)], task="LaMP-2")
        for stored, answer in zip(Question.objects.filter(split=split).order_by("position"), told, strict=True):
            Question.objects.filter(pk=stored.pk).update(oracle_answer=answer)
        split.has_oracle = True
        split.save()
        found = rows(ended(split, {"none": answered_run(split, ["comedy"] * 3)}))
        ids = [str(at) for at in range(3)]
        wanted = evaluate(get_task("LaMP-2"), dict(zip(ids, told, strict=True)), dict(zip(ids, golds, strict=True)))
        assert {metric: row["oracle"]["value"] for metric, row in found.items()} == wanted

    def test_an_oracle_that_is_no_better_leaves_nothing_to_share(self, known):
        Question.objects.filter(split=known).update(oracle_answer="")
        row = rows(ended(known, {"none": answered_run(known, POOR)}))["rouge-1"]
        assert row["cells"]["none"]["share_of_possible"] is None
        assert "no better than no personalization" in row["cells"]["none"]["share_reason"]

    def test_a_split_of_whose_questions_one_has_no_oracle_has_no_share(self, known, bob):
        Question.objects.filter(end_user=bob).update(oracle_answer=None)
        row = rows(ended(known, {"none": answered_run(known, POOR)}))["rouge-1"]
        assert "oracle" not in row
        assert "share_of_possible" not in row["cells"]["none"]

    def test_the_truth_that_came_after_the_report_is_noticed(self, dev, known):
        experiment = ended(dev, {"none": answered_run(dev, POOR)})
        assert not truth_has_come(experiment=experiment)
        experiment.report = {**experiment.report, "truth": []}
        assert truth_has_come(experiment=experiment)


class TestChoosing:
    """Alice, Bob, Alice are asked; rouge-1 of POOR and BETTER differ in the first and the last question."""

    MIXED = [BETTER[0], POOR[1], POOR[2]]

    def columns(self, dev, **more):
        return {
            "none": answered_run(dev, POOR),
            "rag:bm25": answered_run(dev, BETTER, method="rag:bm25"),
            "rag:rspg-pre": a_choosing_run(dev, self.MIXED, ["bm25", "none", "none"]),
            **more,
        }

    def test_a_run_that_chooses_is_held_between_the_best_single_retriever_and_the_pools_oracle(self, dev):
        columns = self.columns(dev)
        found = rows(ended(dev, columns))["rouge-1"]["cells"]["rag:rspg-pre"]["choosing"]
        best, own = columns["rag:bm25"].metrics["rouge-1"], columns["rag:rspg-pre"].metrics["rouge-1"]
        assert own < best
        assert found == {
            "chosen": {"none": 2, "bm25": 1},
            "best_single": {"retriever": "bm25", "value": pytest.approx(best)},
            # No answer of none is better than BM25's, so there is nothing to gain.
            "oracle": pytest.approx(best),
            "share_of_gap": None,
            "p_value": 1.0,
            "p_holm": 1.0,
        }

    def test_where_each_member_is_best_somewhere_there_is_a_gap_and_a_share_of_it(self, dev):
        # BM25 is right in the first question alone, none in the others, who chooses in all.
        none, bm25 = ["", GOLDS[1], GOLDS[2]], [GOLDS[0], "", ""]
        runs = {
            "none": answered_run(dev, none),
            "rag:bm25": answered_run(dev, bm25, method="rag:bm25"),
            "rag:rspg-post": a_choosing_run(
                dev,
                [GOLDS[0], GOLDS[1], ""],
                ["bm25", "none", "bm25"],
                method="rag:rspg-post",
                selector=a_selector(kind="rspg-post"),
            ),
        }
        found = rows(ended(dev, runs))["rouge-L"]["cells"]["rag:rspg-post"]["choosing"]
        assert found["best_single"] == {"retriever": "none", "value": pytest.approx(2 / 3)}
        assert (found["oracle"], found["share_of_gap"]) == (1.0, 0.0)

    def test_other_columns_have_no_such_thing(self, dev):
        cells = rows(ended(dev, self.columns(dev)))["rouge-1"]["cells"]
        assert [key for key, cell in cells.items() if "choosing" in cell] == ["rag:rspg-pre"]

    def test_where_a_member_of_the_pool_is_no_column_it_is_said_which(self, dev):
        columns = self.columns(dev)
        del columns["none"]
        found = rows(ended(dev, columns))["rouge-1"]["cells"]["rag:rspg-pre"]["choosing"]
        assert found == {
            "chosen": {"none": 2, "bm25": 1},
            "reason": "its pool holds none, of which there is no such result here",
        }

    def test_with_an_adapter_the_pool_is_columns_of_that_adapter(self, dev):
        with_adapter = a_choosing_run(dev, self.MIXED, ["bm25", "none", "none"], method="peft-rag:rspg-pre:8")
        absent = ended(dev, self.columns(dev) | {"peft-rag:rspg-pre:8": with_adapter})
        reason = rows(absent)["rouge-1"]["cells"]["peft-rag:rspg-pre:8"]["choosing"]["reason"]
        assert reason == "its pool holds peft:8, peft-rag:bm25:8, of which there is no such result here"
        there = {
            "peft:8": answered_run(dev, POOR, method="peft:8"),
            "peft-rag:bm25:8": answered_run(dev, BETTER, method="peft-rag:bm25:8"),
            "peft-rag:rspg-pre:8": with_adapter,
        }
        found = rows(ended(dev, there, name="second"))["rouge-1"]["cells"]["peft-rag:rspg-pre:8"]["choosing"]
        assert found["best_single"]["retriever"] == "bm25"

    def test_a_dense_member_is_a_column_of_the_same_encoder(self, dev):
        old, new = (ensure_encoder(name="small", revision=one, dimension=2) for one in ("1", "2"))
        dense = {"retriever": "contriever", "encoder": "small", "encoder_revision": "1"}
        selector = a_selector([{"retriever": "none"}, dense])
        fixed = {
            "none": answered_run(dev, POOR),
            "rag:rspg-pre": a_choosing_run(dev, POOR, ["none"] * 3, selector=selector),
        }
        for encoder, outputs, is_held in [(old, BETTER, True), (new, POOR, False)]:
            run = answered_run(dev, outputs, method="rag:contriever", encoder=encoder)
            cells = rows(ended(dev, fixed | {"rag:contriever": run}, name=encoder.revision))["rouge-1"]["cells"]
            assert ("best_single" in cells["rag:rspg-pre"]["choosing"]) == is_held

    def test_a_member_that_answered_fewer_questions_leaves_no_bounds(self, dev, bob):
        columns = self.columns(dev)
        columns["none"].predictions.filter(end_user=bob).delete()
        found = rows(ended(dev, columns))["rouge-1"]["cells"]["rag:rspg-pre"]["choosing"]
        assert found["reason"] == "a member of its pool answered other questions"

    def test_what_the_best_retriever_was_is_held_between_bounds_under_its_own_name(self, dev):
        columns = self.columns(dev)
        cells = rows(ended(dev, columns | {"rag:best": columns["rag:rspg-pre"]}))["rouge-1"]["cells"]
        assert cells["rag:best"]["retriever"] == "rspg-pre"
        assert "choosing" not in cells["rag:best"]

    def test_a_report_of_before_there_were_bounds_is_shown_without(self, dev):
        experiment = ended(dev, self.columns(dev))
        [cells] = experiment.report["measured"].values()
        del cells["rag:rspg-pre"]["bounds"]
        for cell in cells.values():
            del cell["measured"]["bounds"]
        experiment.save()
        experiment.refresh_from_db()
        assert "choosing" not in rows(experiment)["rouge-1"]["cells"]["rag:rspg-pre"]

    def test_bounds_survive_their_way_through_the_database(self, dev):
        experiment = ended(dev, self.columns(dev))
        before = rows(experiment)
        experiment.refresh_from_db()
        after = rows(experiment)
        assert after == before
        chosen = [list(one["rouge-1"]["cells"]["rag:rspg-pre"]["choosing"]["chosen"]) for one in (before, after)]
        assert chosen == [["none", "bm25"]] * 2
