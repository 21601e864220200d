"""Yardsticks from what runs have cost: the likest first, in proportion, and nothing made up."""

import pytest

from eval_app.measured_costs import MeasuredRun, adapter_bytes, question_seconds, training_seconds


def measured(**changed):
    told = {
        "task": "LaMP-4",
        "family": "peft",
        "rank": 8,
        "epochs": 10,
        "adapter_dtype": "bfloat16",
        "num_beams": 4,
        "questions": 100,
        "costs": {"adapters": 4, "training_seconds": 80.0, "adapter_bytes": 4000, "model_ms": 50.0},
        "hardware": {"processor": "a CPU"},
    }
    return MeasuredRun(**{**told, **changed})


def costing(**costs):
    return {"adapters": 1, "training_seconds": 5.0, "adapter_bytes": 100, "model_ms": 10.0, **costs}


class TestTraining:
    def test_it_is_the_mean_of_an_adapter(self):
        found = training_seconds([measured()], task="LaMP-4", rank=8, epochs=10)
        assert found.value == 20.0
        assert found.basis == "training measured here in runs of the same task and rank (a CPU)"

    def test_it_grows_with_the_epochs(self):
        assert training_seconds([measured()], task="LaMP-4", rank=8, epochs=5).value == 10.0

    @pytest.mark.parametrize(
        ("task", "rank", "seconds"),
        [("LaMP-4", 8, 20.0), ("LaMP-4", 16, 20.0), ("LaMP-7", 8, 5.0), ("LaMP-1", 8, 17.0)],
    )
    def test_the_likest_runs_count(self, task, rank, seconds):
        runs = [measured(), measured(task="LaMP-7", costs=costing())]
        assert training_seconds(runs, task=task, rank=rank, epochs=10).value == seconds

    def test_without_any_training_there_is_no_measure(self):
        runs = [measured(family="none", rank=None, epochs=None, costs={"adapters": 0, "model_ms": 1.0})]
        assert training_seconds(runs, task="LaMP-4", rank=8, epochs=10) is None


class TestStorage:
    def test_it_is_in_proportion_to_rank_and_precision(self):
        assert adapter_bytes([measured()], rank=8, dtype="bfloat16").value == 1000
        assert adapter_bytes([measured()], rank=16, dtype="float32").value == 4000
        assert adapter_bytes([], rank=8, dtype="bfloat16") is None


class TestAnswers:
    def test_retrieval_loading_and_model_are_summed(self):
        run = measured(costs=costing(retrieval_ms=5.0, adapter_ms=1.0, model_ms=4.0))
        assert question_seconds([run], task="LaMP-4", family="peft", num_beams=4).value == pytest.approx(0.01)

    def test_the_likest_runs_count(self):
        runs = [measured(), measured(family="rag", costs=costing())]
        assert question_seconds(runs, task="LaMP-4", family="peft", num_beams=4).value == 0.05
        assert question_seconds(runs, task="LaMP-7", family="rag", num_beams=4).value == 0.01
        other = question_seconds(runs, task="LaMP-4", family="none", num_beams=4)
        assert (other.value, other.basis) == (0.03, "answers timed here in runs of other methods (a CPU)")

    def test_an_answer_that_is_chosen_among_several_takes_the_time_of_all(self):
        runs = [
            measured(family="rag", costs=costing()),
            measured(family="rag", costs=costing(model_ms=50.0), outputs=4),
        ]
        asked = {"task": "LaMP-4", "family": "rag", "num_beams": 4}
        one, four = (question_seconds(runs, **asked, outputs=outputs) for outputs in (1, 4))
        # 60 ms for five outputs.
        assert (one.value, four.value) == (pytest.approx(0.012), pytest.approx(0.048))
        assert "in proportion to the outputs of a question" in four.basis

    def test_what_was_not_timed_is_unknown(self):
        assert question_seconds([measured(costs={})], task="LaMP-4", family="peft", num_beams=4) is None


class TestPower:
    @pytest.mark.parametrize(
        ("accelerator", "watts"),
        [("NVIDIA H200", 700 * 1.58), ("NVIDIA L40S", 350 * 1.58), ("NVIDIA L4", 72 * 1.58), ("Another", None)],
    )
    def test_it_is_known_of_accelerators_in_the_table(self, accelerator, watts):
        run = measured(hardware={"accelerator": accelerator})
        assert run.watts == pytest.approx(watts)
        assert training_seconds([run], task="LaMP-4", rank=8, epochs=10).watts == pytest.approx(watts)

    def test_it_is_not_known_of_processors(self):
        assert measured().watts is None
        assert measured(hardware={}).watts is None
