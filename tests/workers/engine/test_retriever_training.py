"""Training a retriever on feedback: its losses by hand, and that it learns what its feedback says."""

import math
import random

import numpy as np
import pytest
import torch

from tests.workers.engine.models import WORDS, prompts, sentence, small_encoder
from workers.engine.checkpoints import CheckpointRefused
from workers.engine.encoder import encode, load_encoder
from workers.engine.retriever_training import (
    DISTILLATION,
    MODES,
    REINFORCEMENT,
    RetrieverHyperparameters,
    RetrieverSample,
    RetrieverTrainer,
    distillation_loss,
    draw,
    reinforcement_loss,
    write_encoder,
)
from workers.engine.seeds import stream
from workers.engine.sources import folder_revision
from workers.engine.training import TrainingDiverged

BRIEFLY = RetrieverHyperparameters(learning_rate=1e-3, epochs=2, batch_size=3, validations=3)


def samples(seed: int, *, count: int) -> list[RetrieverSample]:
    """Questions of unlike numbers of documents."""
    source = random.Random(seed)
    made = []
    for number in range(count):
        documents = tuple(prompts(100 * seed + number, count=source.randint(2, 5)))
        made.append(RetrieverSample(sentence(source), documents, tuple(source.random() for _ in documents)))
    return made


TRAIN, DEV = samples(1, count=7), samples(2, count=4)


def trainer(mode: str, *, seed: int = 1, train=TRAIN, dev=DEV, settings=BRIEFLY, **further) -> RetrieverTrainer:
    return RetrieverTrainer(small_encoder(), train, dev, mode=mode, hyperparameters=settings, seed=seed, **further)


def trained(one: RetrieverTrainer) -> RetrieverTrainer:
    while not one.finished:
        one.step()
    return one


def weights(encoder) -> list[bytes]:
    return [tensor.numpy().tobytes() for tensor in encoder.model.state_dict().values()]


def softmax(values) -> list[float]:
    powers = [math.exp(value) for value in values]
    return [power / sum(powers) for power in powers]


def scores_of(encoder, sample) -> np.ndarray:
    query, *documents = encode(encoder, [sample.query, *sample.documents])
    return np.array(documents) @ query


class TestDistillation:
    def test_it_is_the_cross_entropy_by_hand_with_one_softmax_on_each_side(self):
        scores, utilities = [2.0, -1.0, 0.5], [0.25, 1.0, 0.0]
        by_hand = -sum(p * math.log(q) for p, q in zip(softmax(utilities), softmax(scores), strict=True))
        loss = distillation_loss(torch.tensor([scores]), torch.tensor([utilities]), temperature=1.0)
        assert float(loss) == pytest.approx(by_hand, abs=1e-6)

    def test_the_temperature_divides_both(self):
        scores, utilities = [2.0, -1.0], [0.25, 1.0]
        target, said = (softmax([value / 0.5 for value in values]) for values in (utilities, scores))
        by_hand = -sum(p * math.log(q) for p, q in zip(target, said, strict=True))
        loss = distillation_loss(torch.tensor([scores]), torch.tensor([utilities]), temperature=0.5)
        assert float(loss) == pytest.approx(by_hand, abs=1e-6)

    def test_a_label_temperature_divides_the_utilities_instead(self):
        scores, utilities = [2.0, -1.0], [0.25, 1.0]
        target, said = softmax([value / 0.1 for value in utilities]), softmax([value / 20 for value in scores])
        by_hand = -sum(p * math.log(q) for p, q in zip(target, said, strict=True))
        loss = distillation_loss(
            torch.tensor([scores]), torch.tensor([utilities]), temperature=20.0, label_temperature=0.1
        )
        assert float(loss) == pytest.approx(by_hand, abs=1e-6)

    def test_it_is_the_mean_over_the_batch(self):
        scores, utilities = torch.tensor([[2.0, -1.0], [0.0, 3.0]]), torch.tensor([[1.0, 0.0], [0.5, 0.25]])
        apart = [distillation_loss(scores[row : row + 1], utilities[row : row + 1], temperature=1.0) for row in (0, 1)]
        assert float(distillation_loss(scores, utilities, temperature=1.0)) == pytest.approx(float(sum(apart)) / 2)


class TestReinforcement:
    @pytest.mark.parametrize(("drawn", "reward"), [(0, 0.0), (1, 0.75), (2, -0.25)])
    def test_it_is_the_log_probability_times_the_gain_over_the_first_by_hand(self, drawn, reward):
        scores, utilities = [2.0, -1.0, 0.5], [0.25, 1.0, 0.0]
        by_hand = -math.log(softmax(scores)[drawn]) * reward
        loss = reinforcement_loss(torch.tensor([scores]), torch.tensor([utilities]), torch.tensor([drawn]))
        assert float(loss) == pytest.approx(by_hand, abs=1e-6)

    def test_it_is_the_mean_over_the_batch(self):
        scores, utilities = torch.tensor([[2.0, -1.0], [0.0, 3.0]]), torch.tensor([[1.0, 0.0], [0.5, 0.25]])
        by_hand = -(math.log(softmax([2.0, -1.0])[1]) * -1 + math.log(softmax([0.0, 3.0])[1]) * -0.25) / 2
        assert float(reinforcement_loss(scores, utilities, torch.tensor([1, 1]))) == pytest.approx(by_hand, abs=1e-6)

    def test_draws_follow_the_softmax_of_the_scores_and_their_seed(self):
        scores = torch.tensor([[1.0, 0.0, -1.0]]).repeat(4000, 1)
        drawn = draw(scores, generator=torch.Generator().manual_seed(1))
        shares = torch.bincount(drawn, minlength=3) / 4000
        assert shares.tolist() == pytest.approx(softmax([1.0, 0.0, -1.0]), abs=0.03)
        assert torch.equal(drawn, draw(scores, generator=torch.Generator().manual_seed(1)))


@pytest.mark.parametrize("mode", MODES)
class TestTraining:
    def test_feedback_that_favours_documents_with_a_word_makes_the_encoder_rank_them_first(self, mode):
        word = WORDS[-1]

        def questions(seed: int, count: int) -> list[RetrieverSample]:
            made = []
            source = random.Random(seed)
            for _ in range(count):
                documents = [" ".join(source.choices(WORDS[:-1], k=5)) for _ in range(4)]
                good = source.randrange(4)
                documents[good] = f"{word} {documents[good]}"
                utilities = tuple(float(place == good) for place in range(4))
                made.append(RetrieverSample(" ".join(source.choices(WORDS[:-1], k=4)), tuple(documents), utilities))
            return made

        settings = RetrieverHyperparameters(learning_rate=3e-3, epochs=6, batch_size=8, validations=6)
        one = trained(trainer(mode, train=questions(1, 40), dev=questions(2, 10), settings=settings))
        unseen = questions(3, 30)
        hits = [
            sum(sample.utilities[int(scores_of(encoder, sample).argmax())] for sample in unseen)
            for encoder in (small_encoder(), one.best())
        ]
        assert hits[0] < 15
        assert hits[1] >= 28

    def test_the_first_step_s_loss_is_that_of_the_encoder_s_own_scores(self, mode):
        encoder = small_encoder()
        for part in encoder.model.modules():
            if isinstance(part, torch.nn.Dropout):
                part.p = 0.0
        settings = RetrieverHyperparameters(batch_size=len(TRAIN), temperature=2.0)
        one = RetrieverTrainer(encoder, TRAIN, DEV, mode=mode, hyperparameters=settings, seed=3)
        by_hand = []
        for place, sample in enumerate(TRAIN):
            said = softmax(scores_of(encoder, sample) / 2.0)
            if mode == DISTILLATION:
                target = softmax([value / 2.0 for value in sample.utilities])
                by_hand.append(-sum(p * math.log(q) for p, q in zip(target, said, strict=True)))
            else:
                drawn = int(draw(torch.tensor([said]).log(), generator=stream(3, "draw", 0, place)))
                by_hand.append(-math.log(said[drawn]) * (sample.utilities[drawn] - sample.utilities[0]))
        assert one.step() == pytest.approx(sum(by_hand) / len(by_hand), abs=1e-4)

    def test_the_same_seed_gives_the_same_weights_and_another_seed_others(self, mode):
        one, again, other = (trained(trainer(mode, seed=seed)) for seed in (1, 1, 2))
        assert one.checkpoint_bytes(identity="x") == again.checkpoint_bytes(identity="x")
        assert one.loss_curve != other.loss_curve

    @pytest.mark.parametrize("stop", [0, 2, 5])
    def test_interrupted_and_resumed_is_uninterrupted_to_the_byte(self, mode, stop):
        whole = trained(trainer(mode))
        one = trainer(mode)
        for _ in range(stop):
            one.step()
        resumed = trainer(mode)
        resumed.resume(one.checkpoint_bytes(identity="one"), identity="one")
        assert trained(resumed).checkpoint_bytes(identity="one") == whole.checkpoint_bytes(identity="one")
        assert weights(resumed.best()) == weights(whole.best())

    def test_a_selector_s_or_another_retriever_s_checkpoint_is_refused(self, mode):
        one = trainer(mode)
        one.step()
        with pytest.raises(CheckpointRefused, match="another training"):
            trainer(mode).resume(one.checkpoint_bytes(identity="one"), identity="two")

    def test_a_loss_that_is_not_finite_ends_it(self, mode):
        one = trainer(mode)
        one.validations.append((0, 0.5))  # the start is not looked at again
        with torch.no_grad():
            one._parameters["embeddings.word_embeddings.weight"].fill_(float("nan"))
        with pytest.raises(TrainingDiverged, match="step 1 of 6"):
            one.step()


class TestValidation:
    def test_the_encoder_as_given_is_validated_first(self):
        one = trainer(DISTILLATION)
        one.step()
        encoder = small_encoder()
        chosen = [sample.utilities[int(scores_of(encoder, sample).argmax())] for sample in DEV]
        assert one.validations[0] == (0, pytest.approx(sum(chosen) / len(chosen)))

    def test_it_stays_the_best_where_no_step_is_better(self):
        only = [RetrieverSample("w1", ("w2", "w3"), (0.5, 0.5))]
        one = trained(trainer(REINFORCEMENT, dev=only))
        assert one.best_step == 0
        assert weights(one.best()) == weights(small_encoder())

    def test_questions_whose_documents_are_worth_the_same_are_passed_over(self):
        alone = [RetrieverSample("w1 w2", ("w3",), (1.0,)), RetrieverSample("w1 w2", ("w3", "w4"), (0.5, 0.5))]
        with_them, without = (trained(trainer(DISTILLATION, train=train)) for train in (alone + TRAIN, TRAIN))
        assert with_them.loss_curve == without.loss_curve


class TestFolders:
    def test_a_written_encoder_is_loaded_back(self, tmp_path):
        best = trained(trainer(DISTILLATION)).best()
        write_encoder(tmp_path / "encoder", best)
        loaded = load_encoder(str(tmp_path / "encoder"))
        texts = prompts(9, count=4)
        assert encode(loaded, texts).tobytes() == encode(best, texts).tobytes()
        assert loaded.revision == folder_revision(tmp_path / "encoder")

    def test_the_same_encoder_is_the_same_revision(self, tmp_path):
        for name in ("one", "two"):
            write_encoder(tmp_path / name, small_encoder())
        write_encoder(tmp_path / "again", load_encoder(str(tmp_path / "one")))
        assert len({folder_revision(tmp_path / name) for name in ("one", "two", "again")}) == 1


@pytest.mark.parametrize(
    ("mode", "train", "dev"),
    [
        ("sft", TRAIN, DEV),
        (DISTILLATION, [], DEV),
        (DISTILLATION, TRAIN, []),
        (DISTILLATION, [RetrieverSample("w1", ("w2", "w3"), (1.0,))], DEV),
        (DISTILLATION, [RetrieverSample("w1", (), ())], DEV),
        (DISTILLATION, [RetrieverSample("w1", ("w2", "w3"), (1.0, math.inf))], DEV),
    ],
)
def test_what_is_no_feedback_is_refused(mode, train, dev):
    with pytest.raises(ValueError):
        trainer(mode, train=train, dev=dev)


def test_texts_are_cut_at_the_encoder_s_positions():
    long = RetrieverSample("w1 " * 200, ("w2 " * 200, "w3"), (1.0, 0.0))
    assert math.isfinite(trainer(DISTILLATION, train=[long], dev=[long]).step())
