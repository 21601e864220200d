import json
from datetime import timedelta
from urllib.request import urlopen

import pytest
from django.utils import timezone

from common.objects import ObjectStoreUnavailable, get_store
from tests.people import tweets_of
from tests.training_app.adapters import facts, plan_of
from training_app.adapter_downloads import DOWNLOAD_SECONDS, AdapterUnusable, adapter_download
from training_app.adapters import record_adapter, withdraw_adapter

FILES = {"adapter_config.json": b'{"r": 8}', "adapter_model.safetensors": b"weights"}


@pytest.fixture
def adapter(alice):
    for name, content in FILES.items():
        get_store().put_bytes(f"adapters/c1/{name}", content)
    return record_adapter(end_user=alice, plan=plan_of(alice, tweets_of(alice)), facts=facts())


def test_each_file_of_the_folder_can_be_read_by_its_address_alone(adapter):
    read = {file.name: urlopen(file.url).read() for file in adapter_download(adapter=adapter).files}
    assert read == FILES
    assert json.loads(read["adapter_config.json"]) == {"r": 8}


def test_it_says_how_large_the_files_are_and_until_when_they_can_be_read(adapter):
    download = adapter_download(adapter=adapter)
    assert [file.size for file in download.files] == [8, 7]
    left = download.expires_at - timezone.now()
    assert timedelta(seconds=DOWNLOAD_SECONDS - 5) < left <= timedelta(seconds=DOWNLOAD_SECONDS)


def test_a_withdrawn_adapter_is_given_to_nobody(adapter):
    withdraw_adapter(adapter=adapter)
    adapter.refresh_from_db()
    with pytest.raises(AdapterUnusable, match="withdrawn"):
        adapter_download(adapter=adapter)


def test_one_whose_files_are_lost_is_withdrawn(adapter):
    get_store().delete("adapters/c1/adapter_model.safetensors")
    with pytest.raises(AdapterUnusable, match="lost"):
        adapter_download(adapter=adapter)
    adapter.refresh_from_db()
    assert adapter.withdrawn_at is not None


def test_a_store_that_is_away_withdraws_nothing(adapter, settings):
    settings.S3_ENDPOINT = "http://127.0.0.1:9"
    with pytest.raises(ObjectStoreUnavailable):
        adapter_download(adapter=adapter)
    adapter.refresh_from_db()
    assert adapter.withdrawn_at is None
