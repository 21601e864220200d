"""`/adapters/{id}/download`: from the request for an adapter to a folder that plain `peft` loads."""

import json
from pathlib import Path
from urllib.request import urlopen

import pytest

from common.objects import get_store
from tests.eval_app.stored import small_t5
from tests.people import ASK
from training_app.models import Adapter

ADAPTERS = "/api/v1/adapters"
# Enough that the small model answers otherwise than without.
TAUGHT = {"epochs": 12, "learning_rate": 0.03, "max_input_tokens": 64, "max_output_tokens": 32}


@pytest.fixture
def adapter(api, alice, in_process):
    """Alice's, asked for over HTTP and trained; its address."""
    small_t5()
    asked = {"user": "alice", "task": "LaMP-7", "hyperparameters": TAUGHT}
    assert api.post(ADAPTERS, asked, format="json").status_code == 202
    in_process("train_adapter")
    trained = api.post(ADAPTERS, asked, format="json")
    assert trained.status_code == 200
    return f"{ADAPTERS}/{trained.json()['adapter']['id']}"


def download(api, adapter, folder: Path) -> Path:
    for file in api.get(f"{adapter}/download").json()["files"]:
        (folder / file["name"]).write_bytes(urlopen(file["url"]).read())
    return folder


def test_the_files_are_those_of_a_peft_folder(api, adapter, tmp_path):
    shown = api.get(adapter).json()
    folder = download(api, adapter, tmp_path)
    assert sum(path.stat().st_size for path in folder.iterdir()) == shown["size_bytes"]
    config = json.loads((folder / "adapter_config.json").read_text())
    assert (config["peft_type"], config["r"]) == ("LORA", shown["rank"])


def test_the_addresses_are_kept_by_nobody(api, adapter):
    assert api.get(f"{adapter}/download")["Cache-Control"] == "no-store"


def test_one_whose_files_are_lost_is_withdrawn_and_says_what_to_do(api, adapter):
    get_store().delete_prefix(Adapter.objects.get().object_prefix)
    answer = api.get(f"{adapter}/download")
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:lamppost:problem:adapter-withdrawn")
    assert "POST /api/v1/adapters" in answer.json()["detail"]
    assert api.get(adapter).json()["state"] == "withdrawn"


def test_a_store_that_is_away_is_said_to_be(api, adapter, settings):
    settings.S3_ENDPOINT = "http://127.0.0.1:9"
    assert api.get(f"{adapter}/download").status_code == 503
    assert api.get(adapter).json()["state"] == "ready"


def test_the_job_names_the_adapter_that_it_has_made(api, adapter):
    from jobs.models import Job

    assert adapter == f"{ADAPTERS}/{Job.objects.get().result['adapter_id']}"


@pytest.mark.long
def test_plain_peft_loads_what_was_downloaded_and_answers_otherwise_than_the_base_model(api, adapter, tmp_path):
    from tests.workers.plain_peft import answers_in_plain_peft

    folder = download(api, adapter, tmp_path)
    search = {"num_beams": 4, "max_new_tokens": 12}
    base, personal = answers_in_plain_peft([folder], prompt=ASK + "roses and rain in my garden", search=search)
    assert personal.text != base.text
