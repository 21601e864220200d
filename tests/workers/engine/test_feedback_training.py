"""What the trainings on feedback have in common: settings, reproduction, validation, memory, checkpoints."""

import json
import math
from dataclasses import replace
from itertools import chain

import pytest
import torch
from safetensors.torch import load, save

from tests.workers.engine.selectors import small_selector
from tests.workers.engine.test_selector_training import BRIEFLY, samples, trained, weights
from workers.engine.checkpoints import CheckpointRefused
from workers.engine.feedback_training import FeedbackHyperparameters
from workers.engine.selector import score
from workers.engine.selector_training import SelectorHyperparameters, SelectorTrainer
from workers.engine.training import TrainingDiverged

TRAIN, DEV = samples(1, count=7, post=True), samples(2, count=5, post=True)


def trainer(*, seed: int = 1, settings: SelectorHyperparameters = BRIEFLY, train=TRAIN, dev=DEV, **further):
    return SelectorTrainer(small_selector(), train, dev, hyperparameters=settings, seed=seed, **further)


class TestSettings:
    def test_as_a_mapping_and_back(self):
        changed = SelectorHyperparameters(learning_rate=3e-4, validations=2)
        assert SelectorHyperparameters.from_mapping(changed.as_dict()) == changed
        assert SelectorHyperparameters.from_mapping({}) == SelectorHyperparameters()
        assert json.loads(json.dumps(changed.as_dict())) == changed.as_dict()

    def test_a_whole_number_where_a_fraction_may_stand_is_the_same_setting(self):
        assert json.dumps(SelectorHyperparameters(temperature=1).as_dict()) == json.dumps(
            SelectorHyperparameters(temperature=1.0).as_dict()
        )

    def test_the_source_s_figures_are_the_defaults(self):
        defaults = SelectorHyperparameters()
        assert (defaults.learning_rate, defaults.temperature, defaults.gradient_clip) == (1e-5, 1.0, 1.0)

    @pytest.mark.parametrize(
        "values",
        [
            {"learning_rate": 0},
            {"learning_rate": "1"},
            {"learning_rate": math.nan},
            {"learning_rate": math.inf},
            {"epochs": 0},
            {"epochs": 1.5},
            {"epochs": True},
            {"batch_size": 0},
            {"temperature": 0},
            {"temperature": -1},
            {"gradient_clip": 0},
            {"weight_decay": -0.1},
            {"warmup_share": 1.1},
            {"warmup_share": None},
            {"validations": 0},
            {"unheard_of": 1},
        ],
    )
    def test_what_makes_no_sense_is_refused(self, values):
        with pytest.raises(ValueError):
            FeedbackHyperparameters.from_mapping(values)


class TestSchedule:
    def test_the_rate_rises_and_falls_linearly_and_is_never_0(self):
        one = trainer(settings=replace(BRIEFLY, learning_rate=1.0, batch_size=7, epochs=9, warmup_share=0.3))
        rates = []
        while one.done < one.total:
            rates.append(one.learning_rate)
            one.loss_curve.append(0.0)
        # Of 9 steps + 1, 3 to rise, 7 to fall.
        assert rates == pytest.approx([1 / 3, 2 / 3, 1, 6 / 7, 5 / 7, 4 / 7, 3 / 7, 2 / 7, 1 / 7])

    def test_a_training_of_one_step_learns(self):
        one = trained(trainer(settings=replace(BRIEFLY, batch_size=7, epochs=1)))
        assert weights(one.best()) != weights(small_selector())


class TestReproduction:
    def test_the_same_seed_gives_the_same_weights_and_another_seed_others(self):
        one, again, other = (trained(trainer(seed=seed)) for seed in (1, 1, 2))
        assert (one.loss_curve, one.validations) == (again.loss_curve, again.validations)
        assert weights(one.best()) == weights(again.best())
        assert one.loss_curve != other.loss_curve

    def test_the_model_given_stays_as_it_is(self):
        selector = small_selector()
        before = weights(selector)
        trained(SelectorTrainer(selector, TRAIN, DEV, hyperparameters=BRIEFLY, seed=1))
        assert weights(selector) == before
        assert not selector.model.training
        assert not any(parameter.requires_grad for parameter in selector.model.parameters())

    def test_the_process_s_own_chances_neither_matter_nor_move(self):
        torch.manual_seed(1)
        one = trained(trainer())
        torch.manual_seed(2)
        state = torch.get_rng_state()
        again = trained(trainer())
        assert torch.equal(torch.get_rng_state(), state)
        assert one.loss_curve == again.loss_curve

    def test_dropout_is_at_work(self):
        still = small_selector(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
        without = SelectorTrainer(still, TRAIN, DEV, hyperparameters=BRIEFLY, seed=1)
        assert trainer().step() != without.step()

    def test_every_sample_is_seen_once_an_epoch_in_another_order(self):
        one = trainer()
        seen = []
        while not one.finished:
            seen.append(one._batch())
            one.step()
        assert [len(batch) for batch in seen] == [3, 3, 1] * 2
        first, second = [*chain(*seen[:3])], [*chain(*seen[3:])]
        assert sorted(first) == sorted(second) == list(range(7))
        assert first != second

    def test_smaller_passes_give_the_same_step(self):
        still = small_selector(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
        whole, parts = (
            trained(SelectorTrainer(still, TRAIN, DEV, hyperparameters=BRIEFLY, seed=1, pass_tokens=tokens))
            for tokens in (1 << 20, 1)
        )
        assert whole.loss_curve == pytest.approx(parts.loss_curve, abs=1e-5)

    def test_passes_hold_whole_questions_within_their_tokens(self):
        one = trainer(pass_tokens=100)
        passes = list(one._passes(TRAIN))
        assert len(passes) > 1
        assert sorted(place for _, places, _ in passes for place in places) == list(range(len(TRAIN)))
        for _, places, rows in passes:
            longest = max(len(row.ids) for of_one in rows for row in of_one)
            assert len(places) == 1 or sum(map(len, rows)) * longest <= 100


class TestValidation:
    def test_the_dev_set_is_looked_at_evenly_and_at_the_end(self):
        found = trained(trainer(settings=replace(BRIEFLY, epochs=3, validations=4)))
        assert found.total == 9
        assert [step for step, _ in found.validations] == [3, 5, 7, 9]

    def test_it_is_never_looked_at_more_often_than_there_are_steps(self):
        found = trained(trainer(settings=replace(BRIEFLY, epochs=1, validations=10**9)))
        assert [step for step, _ in found.validations] == [1, 2, 3]

    def test_a_validation_is_the_mean_utility_of_what_is_chosen(self):
        one = trainer(settings=replace(BRIEFLY, epochs=1, validations=1))
        best = trained(one).best()
        chosen = [sample.utilities[int(score(best, sample.texts).argmax())] for sample in DEV]
        assert one.validations == [(3, pytest.approx(sum(chosen) / len(chosen)))]

    def test_the_best_step_is_kept_and_of_equal_ones_the_earliest(self):
        one = trainer()
        one.validations = [(1, 0.5), (2, 0.7), (3, 0.7), (4, 0.6)]
        assert one.best_step == 2

    def test_the_best_is_the_selector_of_the_best_step(self):
        """Every step validated, and the weights after each kept beside."""
        one = trainer(settings=replace(BRIEFLY, learning_rate=1e-2, epochs=3, validations=9))
        after = {}
        while not one.finished:
            one.step()
            after[one.done] = [tensor.detach().numpy().tobytes() for tensor in one._model.state_dict().values()]
        assert one.best_step < one.done
        assert weights(one.best()) == after[one.best_step]

    def test_before_the_first_look_there_is_no_best(self):
        one = trainer()
        assert one.best_step is None
        with pytest.raises(ValueError, match="no step has been validated"):
            one.best()

    def test_a_finished_training_makes_no_further_step(self):
        one = trained(trainer())
        with pytest.raises(ValueError, match="finished"):
            one.step()


class Stopped(Exception):
    """What a check raises."""


class Interrupter:
    """Raises at the nth call."""

    def __init__(self, *, at: int | None = None) -> None:
        self.calls, self.at = 0, at

    def __call__(self) -> None:
        self.calls += 1
        if self.calls == self.at:
            raise Stopped


class TestInterruption:
    """With one question a pass, so that a step of 3 questions is three passes, and a look at 5 five."""

    def begun(self, *, check):
        return trainer(settings=replace(BRIEFLY, validations=2), pass_tokens=1, check=check)

    def test_it_is_asked_before_each_pass_of_a_step_and_of_a_look(self):
        check = Interrupter()
        one = self.begun(check=check)
        asked = []
        for _ in range(3):
            one.step()
            asked.append(check.calls)
        assert asked == [3, 6, 7 + 5]

    @pytest.mark.parametrize(
        ("at", "done", "looks"),
        [(2, 0, 0), (7 + 3, 3, 0), (12 + 7 + 3, 6, 1)],
        ids=["in a step", "in a look", "in the last look"],
    )
    def test_what_was_interrupted_is_made_again_to_the_byte(self, at, done, looks):
        whole = trained(self.begun(check=lambda: None))
        one = self.begun(check=Interrupter(at=at))
        with pytest.raises(Stopped):
            trained(one)
        assert (one.done, len(one.validations), one.finished) == (done, looks, False)
        resumed = self.begun(check=lambda: None)
        resumed.resume(one.checkpoint_bytes(identity="one"), identity="one")
        for going_on in (one, resumed):
            assert trained(going_on).checkpoint_bytes(identity="one") == whole.checkpoint_bytes(identity="one")


class TestDivergence:
    def test_a_loss_that_is_not_finite_ends_it(self):
        one = trainer()
        with torch.no_grad():
            next(iter(one._parameters.values())).fill_(float("nan"))
        with pytest.raises(TrainingDiverged, match="step 1 of 6"):
            one.step()
        assert one.done == 0


@pytest.fixture(scope="module")
def interrupted() -> bytes:
    one = trainer()
    for _ in range(4):
        one.step()
    return one.checkpoint_bytes(identity="one")


class TestCheckpoints:
    @pytest.mark.parametrize("stop", [0, 1, 3, 5, 6])
    def test_interrupted_and_resumed_is_uninterrupted_to_the_byte(self, stop):
        whole = trained(trainer())
        one = trainer()
        for _ in range(stop):
            one.step()
        resumed = trainer()
        resumed.resume(one.checkpoint_bytes(identity="one"), identity="one")
        assert resumed.done == stop
        assert trained(resumed).checkpoint_bytes(identity="one") == whole.checkpoint_bytes(identity="one")
        assert weights(resumed.best()) == weights(whole.best())
        assert resumed.best_step == whole.best_step

    def test_what_is_read_is_what_was_written(self, interrupted):
        one = trainer()
        one.resume(interrupted, identity="one")
        assert one.checkpoint_bytes(identity="one") == interrupted

    def test_nothing_of_a_sample_s_text_is_in_it(self, interrupted):
        length = int.from_bytes(interrupted[:8], "little")
        state = json.loads(json.loads(interrupted[8 : 8 + length])["__metadata__"]["training"])
        assert set(state) == {"form", "identity", "done", "total", "loss_curve", "validations"}

    def test_another_training_s_is_refused(self, interrupted):
        with pytest.raises(CheckpointRefused, match="another training"):
            trainer().resume(interrupted, identity="two")
        longer = trainer(settings=replace(BRIEFLY, epochs=3))
        with pytest.raises(CheckpointRefused, match="another training"):
            longer.resume(interrupted, identity="one")

    def test_another_model_s_is_refused(self, interrupted):
        wider = SelectorTrainer(small_selector(hidden_size=64), TRAIN, DEV, hyperparameters=BRIEFLY, seed=1)
        with pytest.raises(CheckpointRefused, match="another shape"):
            wider.resume(interrupted, identity="one")
        deeper = SelectorTrainer(small_selector(num_hidden_layers=3), TRAIN, DEV, hyperparameters=BRIEFLY, seed=1)
        with pytest.raises(CheckpointRefused, match="not those of this model"):
            deeper.resume(interrupted, identity="one")

    @pytest.mark.parametrize("keep", [0, 4, 100, 5000, -1])
    def test_a_file_that_was_cut_off_is_refused_and_changes_nothing(self, interrupted, keep):
        one = trainer()
        before = one.checkpoint_bytes(identity="one")
        with pytest.raises(CheckpointRefused):
            one.resume(interrupted[:keep], identity="one")
        assert one.checkpoint_bytes(identity="one") == before

    @pytest.mark.parametrize(
        "changes",
        [
            {"done": 3},
            {"done": -1},
            {"done": "many"},
            {"loss_curve": ["nan"] * 4},
            {"loss_curve": 5},
            {"validations": []},
            {"validations": [[2, "0.5"]]},
            {"validations": [[2, "0.5"], [3, "inf"]]},
            {"validations": [2, 3]},
        ],
    )
    def test_a_course_that_does_not_fit_is_refused(self, interrupted, changes):
        length = int.from_bytes(interrupted[:8], "little")
        state = json.loads(json.loads(interrupted[8 : 8 + length])["__metadata__"]["training"]) | changes
        forged = save(load(interrupted), metadata={"training": json.dumps(state)})
        with pytest.raises(CheckpointRefused):
            trainer().resume(forged, identity="one")

    @pytest.mark.parametrize("prefix", ["weights/", "first/", "second/", "best/"])
    def test_tensors_that_are_missing_or_not_finite_are_refused(self, interrupted, prefix):
        length = int.from_bytes(interrupted[:8], "little")
        metadata = json.loads(interrupted[8 : 8 + length])["__metadata__"]
        tensors = load(interrupted)
        name = next(name for name in sorted(tensors) if name.startswith(prefix))
        without = save({key: value for key, value in tensors.items() if key != name}, metadata=metadata)
        with pytest.raises(CheckpointRefused, match="not those of this model"):
            trainer().resume(without, identity="one")
        spoilt = save(tensors | {name: torch.full_like(tensors[name], float("nan"))}, metadata=metadata)
        with pytest.raises(CheckpointRefused, match="not finite"):
            trainer().resume(spoilt, identity="one")
