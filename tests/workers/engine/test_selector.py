"""Scores of candidates, and the tokens they are read as."""

import numpy as np
import pytest
import torch
from tokenizers import processors

from lamp.selector_texts import SelectorText
from tests.workers.engine.models import small_encoder, small_t5, words_tokenizer
from tests.workers.engine.selectors import FIRST, SEPARATOR, pair_tokenizer, read, small_longformer, small_selector
from workers.engine.selector import initial_selector, score, token_rows
from workers.engine.sources import ModelRefused, ModelUnavailable, folder_revision
from workers.small_models import SMALL_ENCODER


@pytest.fixture(scope="module")
def selector():
    return small_selector()


def words(*numbers: int) -> str:
    return " ".join(f"w{number}" for number in numbers)


def ids(*numbers: int) -> list[int]:
    return [number + 4 for number in numbers]


def weights(selector) -> list[bytes]:
    return [tensor.numpy().tobytes() for tensor in selector.model.state_dict().values()]


class TestTokens:
    def test_pre_is_one_segment(self, selector):
        [row] = token_rows(selector, [SelectorText(words(1, 2), None)])
        assert row.ids == [FIRST, *ids(1, 2), SEPARATOR]
        assert row.segments == [0, 0, 0, 0]

    def test_post_has_the_output_as_a_second_segment_after_the_separator(self, selector):
        [row] = token_rows(selector, [SelectorText(words(1, 2), words(3))])
        assert row.ids == [FIRST, *ids(1, 2), SEPARATOR, *ids(3), SEPARATOR]
        assert row.segments == [0, 0, 0, 0, 1, 1]

    def test_an_empty_output_still_has_its_separator(self, selector):
        [row] = token_rows(selector, [SelectorText(words(1), "")])
        assert row.ids == [FIRST, *ids(1), SEPARATOR, SEPARATOR]

    def test_both_are_what_the_tokenizer_makes_of_one_text_and_of_two(self):
        selector = initial_selector(str(SMALL_ENCODER), seed=0)
        prompt, output = 'the tag for the movie: "a robot" is "sci-fi" . 💡', "Dark  Comedy\n"
        [pre, post] = token_rows(selector, [SelectorText(prompt, None), SelectorText(prompt, output)])
        assert pre.ids == selector.tokenizer(prompt)["input_ids"]
        assert post.ids == selector.tokenizer(prompt, output)["input_ids"]

    def test_roberta_and_its_like_join_by_two_separators_within_one_segment(self):
        selector = small_longformer()
        joining = processors.RobertaProcessing(("[SEP]", SEPARATOR), ("[CLS]", FIRST))
        selector.tokenizer.backend_tokenizer.post_processor = joining
        [row] = token_rows(selector, [SelectorText(words(*range(60), *range(60)), words(3))])
        assert row.ids == [FIRST, *ids(*range(59)), SEPARATOR, SEPARATOR, *ids(3), SEPARATOR]
        assert row.segments == [0] * 64

    def test_a_long_prompt_is_cut_at_its_end(self, selector):
        [row] = token_rows(selector, [SelectorText(words(*[*range(60), *range(60)]), None)])
        assert row.ids == [FIRST, *ids(*range(60), 0, 1), SEPARATOR]
        assert len(row.ids) == selector.max_tokens == 64

    def test_the_output_stays_whole_where_the_prompt_is_cut(self, selector):
        [row] = token_rows(selector, [SelectorText(words(*range(60), *range(60)), words(7, 8, 9))])
        assert row.ids == [FIRST, *ids(*range(58)), SEPARATOR, *ids(7, 8, 9), SEPARATOR]
        assert row.segments == [0] * 60 + [1] * 4

    def test_an_output_that_is_too_long_alone_is_cut_and_leaves_nothing_of_the_prompt(self, selector):
        [row] = token_rows(selector, [SelectorText(words(5), words(*range(60), *range(60)))])
        assert row.ids == [FIRST, SEPARATOR, *ids(*range(60), 0), SEPARATOR]
        assert len(row.ids) == 64

    def test_limits_in_the_tokenizer_s_own_file_do_not_count(self, selector):
        text = SelectorText(words(1, 2, 3, 4), words(5))
        wanted = token_rows(selector, [text])
        selector.tokenizer.backend_tokenizer.enable_truncation(3)
        selector.tokenizer.backend_tokenizer.enable_padding(length=30)
        assert token_rows(selector, [text]) == wanted

    def test_no_more_than_512_tokens_are_read_whatever_the_model_could(self):
        assert small_selector(max_position_embeddings=1024).max_tokens == 512

    def test_positions_that_a_family_keeps_free_are_not_counted(self):
        assert small_longformer().max_tokens == 64


class TestScores:
    def test_a_score_is_the_head_s_output(self, selector):
        row = torch.tensor([[FIRST, *ids(1, 2), SEPARATOR, *ids(3), SEPARATOR]])
        with torch.no_grad():
            by_hand = selector.model(input_ids=row, token_type_ids=torch.tensor([[0, 0, 0, 0, 1, 1]])).logits[0, 0]
        scores = score(selector, [SelectorText(words(1, 2), words(3))])
        assert (scores.dtype, scores.shape) == (np.float32, (1,))
        assert scores[0] == pytest.approx(float(by_hand), abs=1e-6)

    def test_a_score_does_not_depend_on_its_neighbours_to_the_byte(self, selector):
        texts = read(1, count=20, post=True)
        among = score(selector, texts)
        for place, text in enumerate(texts):
            assert score(selector, [text])[0].tobytes() == among[place].tobytes()

    @pytest.mark.parametrize("post", [False, True])
    def test_batches_agree_and_keep_the_order(self, selector, post):
        texts = read(2, count=11, post=post)
        np.testing.assert_allclose(score(selector, texts, exact=False, batch_size=4), score(selector, texts), atol=1e-6)

    def test_the_case_and_the_place_of_words_count(self, selector):
        one, other, output = score(
            selector, [SelectorText(words(1), words(2)), SelectorText(words(2), words(1)), SelectorText("", words(2))]
        )
        assert len({float(one), float(other), float(output)}) == 3

    def test_a_text_of_any_length_has_a_score(self, selector):
        texts = [SelectorText("", None), SelectorText("", ""), SelectorText(words(*range(60)) * 9, words(1) * 99)]
        assert np.isfinite(score(selector, texts)).all()
        assert score(selector, []).shape == (0,)

    def test_a_longformer_is_a_selector(self):
        longformer = small_longformer()
        texts = [*read(3, count=3, post=True), SelectorText(words(*range(60), *range(60)), words(1))]
        scores = score(longformer, texts)
        assert np.isfinite(scores).all()
        np.testing.assert_allclose(score(longformer, texts, exact=False), scores, atol=1e-6)


class TestInitial:
    def test_the_same_seed_gives_the_same_weights(self):
        one, again, other = (initial_selector(str(SMALL_ENCODER), seed=seed) for seed in (1, 1, 2))
        assert weights(one) == weights(again)
        assert weights(one) != weights(other)

    def test_only_the_head_is_drawn(self):
        one, other = (initial_selector(str(SMALL_ENCODER), seed=seed).model.state_dict() for seed in (1, 2))
        assert {name for name in one if not torch.equal(one[name], other[name])} == {"classifier.weight"}

    def test_the_process_s_own_chances_are_not_touched(self):
        torch.manual_seed(5)
        state = torch.get_rng_state()
        initial_selector(str(SMALL_ENCODER), seed=1)
        assert torch.equal(torch.get_rng_state(), state)

    def test_the_encoder_may_be_pinned(self, tmp_path):
        revision = folder_revision(SMALL_ENCODER)
        assert initial_selector(str(SMALL_ENCODER), revision=revision, seed=1).name == str(SMALL_ENCODER)
        with pytest.raises(ModelRefused, match="has changed"):
            initial_selector(str(SMALL_ENCODER), revision="0" * 64, seed=1)

    def test_what_is_no_encoder_is_refused(self, tmp_path):
        small_t5().save_pretrained(tmp_path)
        with pytest.raises(ModelRefused, match="an encoder such as BERT"):
            initial_selector(str(tmp_path), seed=1)

    def test_a_folder_without_safetensors_is_refused(self, tmp_path):
        encoder = small_encoder()
        encoder.model.config.save_pretrained(tmp_path)
        words_tokenizer().save_pretrained(tmp_path)
        torch.save(encoder.model.state_dict(), tmp_path / "pytorch_model.bin")
        with pytest.raises(ModelRefused, match="no safetensors"):
            initial_selector(str(tmp_path), seed=1)

    def test_an_encoder_that_is_not_there_is_said_so(self, tmp_path):
        with pytest.raises(ModelUnavailable):
            initial_selector(str(tmp_path), seed=1)


def test_the_tests_tokenizer_joins_as_bert_s_does():
    assert pair_tokenizer().decode(pair_tokenizer()("w1", "w2")["input_ids"]) == "[CLS] w1 [SEP] w2 [SEP]"
