"""Shapes against transformers' own models, made on the meta device, and against the engine's projections."""

import json

import pytest
import torch
from transformers import T5Config, T5ForConditionalGeneration

from tests.workers.engine.models import small_base
from training_app.costs.shapes import PUBLISHED, ModelShape, UnknownShape, shape_from_config
from workers.engine.lora import LoraProjections
from workers.small_models import SMALL_T5

# Of the published files, in millions.
MILLIONS = {
    "google/flan-t5-small": 77.0,
    "google/flan-t5-base": 247.6,
    "google/flan-t5-large": 783.2,
    "google/flan-t5-xl": 2849.8,
    "google/flan-t5-xxl": 11135.3,
}


def on_meta(shape: ModelShape) -> T5ForConditionalGeneration:
    config = T5Config(
        d_model=shape.d_model,
        d_kv=shape.d_kv,
        d_ff=shape.d_ff,
        num_heads=shape.num_heads,
        num_layers=shape.num_layers,
        num_decoder_layers=shape.num_decoder_layers,
        vocab_size=shape.vocab_size,
        feed_forward_proj="gated-gelu" if shape.gated else "relu",
    )
    with torch.device("meta"):
        model = T5ForConditionalGeneration(config)
        if not shape.tied:
            # T5Config always says "tied"; the published files hold another output layer, and so does what is loaded.
            model.lm_head.weight = torch.nn.Parameter(torch.empty_like(model.lm_head.weight))
    return model


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_shapes_have_the_parameters_of_the_real_models(name):
    shape = PUBLISHED[name]
    assert shape.parameters == on_meta(shape).num_parameters()
    assert round(shape.parameters / 1e6, 1) == MILLIONS[name]


@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("tied", [True, False])
def test_so_has_any_other_shape(gated, tied):
    shape = ModelShape(
        d_model=24,
        d_kv=5,
        d_ff=40,
        num_heads=3,
        num_layers=2,
        num_decoder_layers=4,
        vocab_size=70,
        gated=gated,
        tied=tied,
    )
    assert shape.parameters == on_meta(shape).num_parameters()


@pytest.mark.parametrize("name", PUBLISHED)
def test_lora_parameters_are_those_of_the_engines_projections(name):
    projections = LoraProjections(on_meta(PUBLISHED[name]))
    assert PUBLISHED[name].lora_projections == len(projections.projections)
    assert PUBLISHED[name].lora_parameters(1) == projections.parameters_per_rank()


def test_an_xxl_adapter_has_the_papers_size():
    xxl = PUBLISHED["google/flan-t5-xxl"]
    assert xxl.lora_projections == 216
    assert 4 * xxl.lora_parameters(8) == 56_623_104


def test_the_small_models_shape_is_read_from_its_configuration():
    shape = shape_from_config(json.loads((SMALL_T5 / "config.json").read_text()))
    assert (shape.d_model, shape.num_layers, shape.num_decoder_layers, shape.tied) == (128, 3, 3, True)


def test_a_configuration_that_transformers_wrote_gives_the_models_shape(tmp_path):
    base = small_base()
    base.model.save_pretrained(tmp_path)
    shape = shape_from_config(json.loads((tmp_path / "config.json").read_text()))
    assert shape.lora_parameters(4) == 4 * base.projections.parameters_per_rank()
    assert (shape.gated, shape.num_decoder_layers, shape.inner) == (True, 2, 32)


def test_as_many_decoder_layers_as_encoder_layers_where_nothing_is_said():
    assert shape_from_config({"num_layers": 5}).num_decoder_layers == 5


def test_v1_1_is_untied_whoever_wrote_its_configuration():
    assert not shape_from_config({"tie_word_embeddings": False}).tied
    assert not shape_from_config({"tie_word_embeddings": True, "scale_decoder_outputs": False}).tied
    assert shape_from_config({}).tied


def test_another_family_is_refused():
    with pytest.raises(UnknownShape, match="It is a llama model"):
        shape_from_config({"model_type": "llama"})


@pytest.mark.parametrize("wrong", [0, -1, "512", 1.5, True, None])
def test_a_dimension_that_is_none_is_refused_by_name(wrong):
    with pytest.raises(UnknownShape, match="Its d_model is no positive whole number"):
        shape_from_config({"d_model": wrong})
