"""Text embeddings."""

import numpy as np
import pytest
import torch

from tests.workers.engine.models import prompts, sentence, small_encoder, small_t5, words_tokenizer
from workers.engine.encoder import encode, load_encoder, most_tokens, wrap_encoder
from workers.engine.sources import ModelRefused, folder_revision


@pytest.fixture(scope="module")
def encoder():
    return small_encoder()


def test_a_vector_is_the_plain_mean_of_the_tokens_last_hidden_states(encoder):
    text = "w1 w2 w3"
    ids = encoder.tokenizer(text)["input_ids"]
    with torch.no_grad():
        hidden = encoder.model(input_ids=torch.tensor([ids])).last_hidden_state[0]
    by_hand = sum(hidden[place] for place in range(len(ids))) / len(ids)
    vectors = encode(encoder, [text])
    assert vectors.dtype == np.float32
    assert vectors.shape == (1, encoder.dimension)
    np.testing.assert_allclose(vectors[0], by_hand.numpy(), atol=1e-6)


def test_padding_does_not_count(encoder):
    texts = ["w1", "w2 w3 w4 w5 w6 w7 w8"]
    together = encode(encoder, texts, exact=False)
    np.testing.assert_allclose(together, encode(encoder, texts, exact=True), atol=1e-6)


def test_vectors_are_not_normalised(encoder):
    norms = np.linalg.norm(encode(encoder, prompts(1, count=5)), axis=1)
    assert norms.std() > 0


def test_a_vector_does_not_depend_on_its_neighbours_to_the_byte(encoder):
    texts = prompts(2, count=20)
    among = encode(encoder, texts)
    for place, text in enumerate(texts):
        assert encode(encoder, [text])[0].tobytes() == among[place].tobytes()
    assert encode(encoder, texts[::-1])[::-1].tobytes() == among.tobytes()


def test_where_a_file_s_mapping_puts_the_weights_does_not_matter(encoder):
    shifted = small_encoder().model
    for parameter in shifted.parameters():
        memory = torch.empty(parameter.numel() + 1)
        parameter.data = memory[1:].view_as(parameter).copy_(parameter)
    found = wrap_encoder(shifted, encoder.tokenizer, name="shifted", revision="1")
    texts = prompts(4, count=9)
    assert encode(found, texts).tobytes() == encode(encoder, texts).tobytes()
    assert all(parameter.data_ptr() % 64 == 0 for parameter in found.model.parameters())


def test_order_is_kept_and_batches_agree(encoder):
    texts = prompts(3, count=11)
    np.testing.assert_allclose(encode(encoder, texts, batch_size=4, exact=False), encode(encoder, texts), atol=1e-6)


def test_texts_are_cut_at_the_token_limit(encoder):
    long = " ".join(["w1 w2"] * 200)
    cut = encode(encoder, [long, long[:-5]], max_tokens=16)
    assert cut[0].tobytes() == cut[1].tobytes()


def test_an_encoder_says_how_many_tokens_it_has_positions_for(encoder):
    assert most_tokens(encoder.model) == 64


def test_an_empty_text_and_no_text_at_all(encoder):
    assert np.isfinite(encode(encoder, ["", "w1"])).all()
    assert encode(encoder, []).shape == (0, encoder.dimension)


def test_a_folder_is_loaded_with_its_digest_as_revision(tmp_path, encoder):
    encoder.model.save_pretrained(tmp_path / "encoder")
    words_tokenizer().save_pretrained(tmp_path / "encoder")
    loaded = load_encoder(str(tmp_path / "encoder"))
    assert loaded.revision == folder_revision(tmp_path / "encoder")
    assert encode(loaded, ["w1 w2"]).tobytes() == encode(encoder, ["w1 w2"]).tobytes()


def test_a_folder_without_safetensors_is_refused(tmp_path, encoder):
    encoder.model.config.save_pretrained(tmp_path)
    torch.save(encoder.model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelRefused, match="no safetensors"):
        load_encoder(str(tmp_path))


def test_a_model_that_is_no_encoder_is_refused(tmp_path):
    small_t5().save_pretrained(tmp_path)
    with pytest.raises(ModelRefused, match="an encoder such as BERT"):
        load_encoder(str(tmp_path))


def test_a_word_more_changes_the_vector(encoder):
    import random

    text = sentence(random.Random(1))
    one, other = encode(encoder, [text, f"{text} w9"])
    assert not np.allclose(one, other)
