"""Training a selector: its loss by hand, and that it learns what its feedback says."""

import math

import pytest
import torch

from lamp.catalogue import CATALOGUE
from lamp.selector_texts import SelectorText
from lamp.utility import utility
from tests.workers.engine.selectors import read, small_longformer, small_selector
from workers.engine.selector import initial_selector, score
from workers.engine.selector_training import SelectorHyperparameters, SelectorSample, SelectorTrainer, selection_loss
from workers.small_models import SMALL_ENCODER

POOL = 4
BRIEFLY = SelectorHyperparameters(learning_rate=1e-3, epochs=2, batch_size=3, validations=4)


def samples(seed: int, *, count: int, post: bool = False) -> list[SelectorSample]:
    texts = read(seed, count=count * POOL, post=post)
    utilities = torch.rand(count, POOL, generator=torch.Generator().manual_seed(seed)).tolist()
    return [SelectorSample(tuple(texts[POOL * n : POOL * (n + 1)]), tuple(utilities[n])) for n in range(count)]


def trained(trainer: SelectorTrainer) -> SelectorTrainer:
    while not trainer.finished:
        trainer.step()
    return trainer


def weights(selector) -> list[bytes]:
    return [tensor.numpy().tobytes() for tensor in selector.model.state_dict().values()]


def divergence(scores, utilities, temperature=1.0) -> float:
    """KL(softmax(utilities) || softmax(scores / temperature)), written out."""
    target = [math.exp(value) for value in utilities]
    target = [value / sum(target) for value in target]
    said = [math.exp(value / temperature) for value in scores]
    said = [value / sum(said) for value in said]
    return sum(p * (math.log(p) - math.log(q)) for p, q in zip(target, said, strict=True))


OUTPUTS = {
    "LaMP-1": (["[1]", "[2]", "1"], "[1]", [1, 0, 0]),
    "LaMP-2": (["comedy", "action", "Comedy"], "comedy", [1, 0, 0]),
    "LaMP-2N": (["women", "crime", "women "], "women", [1, 0, 1]),
    "LaMP-3": (["5", "4", "x"], "5", [1, 0.75, 0]),
    "LaMP-4": (["the cat sat", "a dog", "the cat"], "the cat", [0.8, 0, 1]),
    "LaMP-7": (["so tired", "so very tired today", ""], "so very tired today", [2 / 3, 1, 0]),
}


class TestLoss:
    @pytest.mark.parametrize("key", OUTPUTS)
    def test_it_is_the_kl_divergence_by_hand_for_every_kind_of_task(self, key):
        outputs, gold, worth = OUTPUTS[key]
        utilities = [utility(CATALOGUE[key], output=output, gold=gold) for output in outputs]
        assert utilities == pytest.approx(worth)
        scores = [0.3, -1.2, 2.0]
        loss = selection_loss(torch.tensor([scores]), torch.tensor([utilities]), temperature=1.0)
        assert float(loss) == pytest.approx(divergence(scores, worth), abs=1e-6)

    @pytest.mark.parametrize(
        ("worth", "powers"),
        [
            ([1, 0, 0, 0], [math.e, 1, 1, 1]),
            # Ratings of 5, 4 and 1 where 5 is right.
            ([1, 0.75, 0], [math.e, math.exp(0.75), 1]),
            # ROUGE.
            ([0.8, 0.8, 0.5], [math.exp(0.8), math.exp(0.8), math.exp(0.5)]),
            # All worth the same: even.
            ([0.0] * 4, [1, 1, 1, 1]),
        ],
    )
    def test_the_labels_are_the_softmax_of_the_utilities_by_hand(self, worth, powers):
        labels = [power / sum(powers) for power in powers]
        # Against even scores the divergence is log(pool) less the labels' entropy; against the labels' own, nothing.
        entropy = -sum(p * math.log(p) for p in labels)
        even, own = torch.zeros(1, len(worth)), torch.tensor([[math.log(p) for p in labels]])
        utilities = torch.tensor([worth], dtype=torch.float32)
        assert float(selection_loss(even, utilities, temperature=1.0)) == pytest.approx(
            math.log(len(worth)) - entropy, abs=1e-6
        )
        assert float(selection_loss(own, utilities, temperature=1.0)) == pytest.approx(0, abs=1e-6)

    def test_it_is_the_mean_over_the_batch(self):
        scores, utilities = [[0.1, 0.9], [2.0, -2.0]], [[1.0, 0.0], [0.25, 0.5]]
        by_hand = (divergence(scores[0], utilities[0]) + divergence(scores[1], utilities[1])) / 2
        loss = selection_loss(torch.tensor(scores), torch.tensor(utilities), temperature=1.0)
        assert float(loss) == pytest.approx(by_hand, abs=1e-6)

    def test_the_temperature_divides_the_scores_alone(self):
        scores, utilities = [1.0, -0.5, 0.2], [1.0, 0.0, 0.5]
        loss = selection_loss(torch.tensor([scores]), torch.tensor([utilities]), temperature=0.5)
        assert float(loss) == pytest.approx(divergence(scores, utilities, temperature=0.5), abs=1e-6)

    def test_scores_equal_to_the_utilities_have_none(self):
        same = torch.tensor([[0.2, 0.9, 0.4]])
        assert float(selection_loss(same, same, temperature=1.0)) == pytest.approx(0, abs=1e-7)

    def test_a_step_s_loss_is_that_of_its_scores(self):
        selector = small_selector(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
        train = samples(1, count=5)
        trainer = SelectorTrainer(
            selector, train, train, hyperparameters=SelectorHyperparameters(batch_size=8, temperature=2.0), seed=1
        )
        by_hand = sum(divergence(score(selector, one.texts), one.utilities, temperature=2.0) for one in train) / 5
        assert trainer.step() == pytest.approx(by_hand, abs=1e-5)

    def test_a_label_temperature_divides_the_utilities(self):
        scores, utilities = torch.tensor([[0.3, -0.2, 0.0]]), torch.tensor([[0.6, 0.5, 0.1]])
        by_hand = divergence(scores[0].tolist(), [value / 0.1 for value in utilities[0].tolist()])
        loss = selection_loss(scores, utilities, temperature=1.0, label_temperature=0.1)
        assert float(loss) == pytest.approx(by_hand, rel=1e-5)

    def test_a_label_temperature_that_is_not_positive_is_refused(self):
        with pytest.raises(ValueError, match="label_temperature must be positive"):
            SelectorHyperparameters(label_temperature=0.0)


class TestLearning:
    def test_feedback_that_always_favours_one_retriever_makes_the_selector_choose_it(self):
        """The third member's prompts speak of recent documents; which words stand around them says nothing."""

        def questions(seed: int, count: int) -> list[SelectorSample]:
            made = []
            for number in range(count):
                texts = [text.text for text in read(1000 * seed + number, count=POOL)]
                texts[2] = f"recent {texts[2]}"
                made.append(SelectorSample(tuple(SelectorText(text, None) for text in texts), (0.2, 0.2, 1.0, 0.2)))
            return made

        trainer = trained(
            SelectorTrainer(
                initial_selector(str(SMALL_ENCODER), seed=1),
                questions(1, 24),
                questions(2, 8),
                hyperparameters=SelectorHyperparameters(learning_rate=1e-3, epochs=4, batch_size=8, validations=2),
                seed=1,
            )
        )
        assert trainer.loss_curve[-1] < trainer.loss_curve[0] / 2
        selector = trainer.best()
        unseen = [score(selector, sample.texts).argmax() for sample in questions(3, 20)]
        assert unseen == [2] * 20

    def test_a_longformer_is_trained_too(self):
        train = samples(3, count=3, post=True)
        longformer = small_longformer()
        best = trained(SelectorTrainer(longformer, train, train, hyperparameters=BRIEFLY, seed=1)).best()
        assert weights(best) != weights(longformer)
        assert best.max_tokens == longformer.max_tokens


class TestSamples:
    def test_those_worth_the_same_teach_nothing_and_are_passed_over(self):
        train, equal = samples(4, count=4), [SelectorSample(tuple(read(9, count=POOL)), (0.5,) * POOL)]
        with_them, without = (
            trained(SelectorTrainer(small_selector(), part, train, hyperparameters=BRIEFLY, seed=1))
            for part in (equal * 3 + train, train)
        )
        assert with_them.loss_curve == without.loss_curve
        assert weights(with_them.best()) == weights(without.best())

    def test_where_all_are_worth_the_same_there_is_no_step_and_the_selector_stays(self):
        equal = [SelectorSample(tuple(read(9, count=POOL)), (0.5,) * POOL)]
        selector = small_selector()
        trainer = SelectorTrainer(selector, equal, equal, hyperparameters=BRIEFLY, seed=1)
        assert (trainer.total, trainer.finished, trainer.best_step) == (0, True, 0)
        assert trainer.validations == [(0, 0.5)]
        assert weights(trainer.best()) == weights(selector)

    def test_on_the_dev_set_they_count(self):
        train = samples(4, count=4)
        equal = [SelectorSample(tuple(read(9, count=POOL)), (0.5,) * POOL)]
        alone, beside = (
            trained(SelectorTrainer(small_selector(), train, dev, hyperparameters=BRIEFLY, seed=1)).validations
            for dev in (train, train + equal * 4)
        )
        assert [value for _, value in beside] == pytest.approx([(value + 0.5) / 2 for _, value in alone])

    @pytest.mark.parametrize(
        ("train", "dev"),
        [
            ([], samples(1, count=1)),
            (samples(1, count=1), []),
            ([SelectorSample(tuple(read(1, count=4)), (1.0, 0.0))], samples(1, count=1)),
            ([SelectorSample(tuple(read(1, count=2)), (1.0, 0.0))], samples(1, count=1)),
            ([SelectorSample((), ())], [SelectorSample((), ())]),
            ([SelectorSample(tuple(read(1, count=4)), (1.0, 0.0, math.nan, 0.0))], samples(1, count=1)),
        ],
    )
    def test_what_is_no_feedback_of_one_pool_is_refused(self, train, dev):
        with pytest.raises(ValueError):
            SelectorTrainer(small_selector(), train, dev, hyperparameters=BRIEFLY, seed=1)
