"""The models that come with the repository."""

import json

import pytest
import torch
from transformers import AutoModel, AutoModelForSeq2SeqLM, AutoTokenizer

from lamp.catalogue import get_task, task_versions
from lamp.synthetic.population import people
from retrieval_app.prompts import build_prompt
from retrieval_app.selection import POST, selector_text
from workers.engine.base_model import load_base_model
from workers.engine.generation import GenerationRow, generate
from workers.engine.selector import load_selector, score
from workers.engine.sources import folder_revision
from workers.small_models import SMALL_ENCODER, SMALL_SELECTOR_POST, SMALL_SELECTOR_PRE, SMALL_T5
from workers.small_models.measuring import has_form, measure_encoder
from workers.small_models.samples import TASKS

MIB = 1024 * 1024
SELECTORS = {"pre": SMALL_SELECTOR_PRE, "post": SMALL_SELECTOR_POST}


@pytest.fixture(autouse=True)
def one_thread_and_no_hub(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("folder", "most"),
    [(SMALL_T5, 10 * MIB), (SMALL_ENCODER, 6 * MIB), (SMALL_SELECTOR_PRE, 6 * MIB), (SMALL_SELECTOR_POST, 6 * MIB)],
)
def test_a_folder_is_small_and_holds_no_pickle(folder, most):
    files = {file.name: file.stat().st_size for file in folder.iterdir()}
    assert sum(files.values()) < most
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "README.md"} <= files.keys()
    assert not any(name.endswith((".bin", ".pt", ".pth", ".pkl")) for name in files)


@pytest.mark.parametrize("folder", [SMALL_T5, SMALL_ENCODER, *SELECTORS.values()])
def test_a_model_card_says_how_it_was_made_and_how_well_it_does(folder):
    card = (folder / "README.md").read_text(encoding="utf-8")
    for heading in ("**Architecture**", "**Data**", "**Recipe**", "**License**", "## Measured", "## Limits"):
        assert heading in card
    assert "make small-models" in card


def test_the_t5_loads_as_any_t5_does():
    model = AutoModelForSeq2SeqLM.from_pretrained(SMALL_T5)
    tokenizer = AutoTokenizer.from_pretrained(SMALL_T5)
    assert (model.config.model_type, model.dtype) == ("t5", torch.float32)
    assert model.config.dense_act_fn == "gelu_new"
    assert model.config.decoder_start_token_id == tokenizer.pad_token_id
    assert model.config.vocab_size == len(tokenizer)


def test_the_encoder_loads_as_any_bert_does():
    model = AutoModel.from_pretrained(SMALL_ENCODER)
    assert (model.config.model_type, model.dtype) == ("bert", torch.float32)
    assert model.config.vocab_size == len(AutoTokenizer.from_pretrained(SMALL_ENCODER))
    assert model.config.max_position_embeddings == 512


@pytest.fixture(scope="module")
def small_t5():
    return load_base_model(str(SMALL_T5))


@pytest.mark.parametrize("task_key", TASKS)
def test_the_t5_answers_in_the_form_of_the_task(small_t5, task_key):
    persons = people(task_key, users=range(1, 7), seed=77, strength=0.9, drift=0.2)
    rows = [GenerationRow(asked.input) for person in persons for asked in person.questions]
    answers = [answer.text for answer in generate(small_t5, rows, max_output_tokens=40)]
    in_form = [has_form(get_task(task_key), answer) for answer in answers]
    assert sum(in_form) >= 0.8 * len(in_form)


def test_the_encoder_knows_what_belongs_together_better_than_words_do():
    found = measure_encoder(SMALL_ENCODER, users=8)
    assert found["encoder"] > max(0.1, found["BM25"])


@pytest.mark.parametrize("folder", [SMALL_T5, SMALL_ENCODER])
def test_older_readers_find_the_tokenizers_class_and_special_tokens(folder):
    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert settings["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert json.loads((folder / "special_tokens_map.json").read_text(encoding="utf-8"))["pad_token"]


@pytest.mark.parametrize("reads", SELECTORS)
def test_a_selector_says_what_it_reads_and_of_which_models(reads):
    record = json.loads((SELECTORS[reads] / "selector.json").read_text(encoding="utf-8"))
    assert record["reads"] == reads
    assert record["tasks"] == list(TASKS)
    assert record["task_versions"] == task_versions(TASKS)
    assert [member["retriever"] for member in record["pool"]] == ["recency", "contriever"]
    assert record["pool"][1]["encoder_revision"] == folder_revision(SMALL_ENCODER)
    assert record["base_model_revision"] == folder_revision(SMALL_T5)
    assert set(record) >= {"documents", "hyperparameters", "seed", "feedback_digest", "metrics"}


def prompt_with(documents, asked):
    task = get_task("LaMP-4")
    tokenizer = AutoTokenizer.from_pretrained(SMALL_T5)
    return build_prompt(task, asked.input, [written.fields for written in documents], tokenizer=tokenizer)


@pytest.mark.parametrize("reads", SELECTORS)
def test_a_selector_prefers_documents_of_one_manner_to_a_mixture(reads):
    selector = load_selector(SELECTORS[reads])
    texts, pairs = [], 0
    for person in people("LaMP-4", users=range(1, 61), seed=5, strength=1.0, drift=0.0, manners=1.0):
        *_, asked = person.questions
        opening = asked.output.split()[:2]
        documents = person.documents[: asked.profile_size]
        alike = [written for written in documents if written.fields["title"].split()[:2] == opening]
        others = [written for written in documents if written not in alike]
        if min(len(alike), len(others)) >= 3:
            pairs += 1
            for chosen in (alike[-3:], [alike[-1], *others[-2:]]):
                output = asked.output if reads == POST else None
                texts.append(selector_text(reads=reads, prompt=prompt_with(chosen, asked), output=output))
    scores = score(selector, texts, exact=False).reshape(pairs, 2)
    assert pairs > 20
    assert (scores[:, 0] > scores[:, 1]).mean() > 0.75


@pytest.mark.parametrize("reads", SELECTORS)
def test_a_selectors_card_and_its_record_tell_the_same_numbers(reads):
    folder = SELECTORS[reads]
    card = (folder / "README.md").read_text(encoding="utf-8")
    for task_key, found in json.loads((folder / "selector.json").read_text(encoding="utf-8"))["metrics"]["measured"][
        "tasks"
    ].items():
        row = next(line for line in card.splitlines() if line.startswith(f"| {task_key} |"))
        assert f"**{found['best_single_score']:.3f}**" in row
        assert f" {found['selector']:.3f} |" in row
