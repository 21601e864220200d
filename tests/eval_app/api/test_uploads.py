"""`/uploads`: files go straight to the object store, so many of such a size, and not for long."""

import hashlib
import urllib.error
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone

from common.objects import ObjectStore, ObjectStoreUnavailable, get_store
from eval_app.import_sweeps import sweep_uploads
from eval_app.kinds import IMPORT_DATASET
from eval_app.models import Upload
from jobs.services import JobSpec, enqueue
from tests.eval_app.api.uploading import UPLOADS, asked, put, uploaded

ASK = {"filename": "questions.json", "bytes": 10}


@pytest.fixture(autouse=True)
def empty_store(db):
    get_store().ensure_bucket()
    get_store().delete_prefix("uploads/")


def objects():
    return [info.key for info in get_store().list("uploads/")]


def expire(upload_id):
    Upload.objects.filter(pk=upload_id).update(expires_at=timezone.now() - timedelta(seconds=1))


def test_a_file_goes_to_the_address_that_is_told_and_its_size_is_seen(api):
    upload = asked(api, b"0123456789")
    assert (upload["filename"], upload["bytes"], upload["sha256"]) == ("questions.json", 10, None)
    assert (upload["state"], upload["stored_bytes"], upload["put"]["method"]) == ("open", None, "PUT")
    put(upload, b"0123456789")
    seen = api.get(f"{UPLOADS}/{upload['id']}")
    assert (seen.status_code, seen.json()["stored_bytes"]) == (200, 10)
    assert get_store().get_bytes(objects()[0], max_bytes=10) == b"0123456789"


def test_the_object_has_no_name_that_tells_of_the_file_and_lies_with_its_workspace(api, workspace):
    uploaded(api, b"x", filename="alice.json")
    [key] = objects()
    prefix, owner, name = key.split("/")
    assert (prefix, owner) == ("uploads", str(workspace.pk))
    assert len(name) == 32
    assert "alice" not in key


def test_an_address_is_for_no_cache_and_for_one_object(api):
    answer = api.post(UPLOADS, ASK)
    assert answer["Cache-Control"] == "no-store"
    assert answer["Location"] == f"{UPLOADS}/{answer.json()['id']}"
    elsewhere = {"put": {**answer.json()["put"]}}
    elsewhere["put"]["url"] = elsewhere["put"]["url"].replace("/uploads/", "/sources/")
    with pytest.raises(urllib.error.HTTPError) as refused:
        put(elsewhere, b"x")
    assert refused.value.code == 403


def test_an_address_does_not_outlive_its_upload(api):
    upload = asked(api, b"x")
    Upload.objects.update(expires_at=timezone.now() + timedelta(seconds=90))
    assert "X-Amz-Expires=8" in api.get(f"{UPLOADS}/{upload['id']}").json()["put"]["url"]
    expire(upload["id"])
    assert api.get(f"{UPLOADS}/{upload['id']}").json()["put"] is None


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"filename": ""}, "/filename"),
        ({"filename": "a/b"}, "/filename"),
        ({"filename": "a\nb"}, "/filename"),
        ({"filename": "x" * 256}, "/filename"),
        ({"filename": None}, "/filename"),
        ({"bytes": 0}, "/bytes"),
        ({"bytes": "10"}, "/bytes"),
        ({"bytes": 5_000_000_001}, "/bytes"),
        ({"sha256": "abc"}, "/sha256"),
        ({"sha256": "g" * 64}, "/sha256"),
        ({"size": 10}, "/size"),
    ],
    ids=str,
)
def test_what_cannot_be_an_upload_is_refused_by_its_field(api, wrong, field):
    answer = api.post(UPLOADS, {**ASK, **wrong})
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (400, [field])
    assert not Upload.objects.exists()


def test_a_digest_is_kept_in_small_letters(api):
    digest = hashlib.sha256(b"x").hexdigest()
    assert asked(api, b"x", sha256=digest.upper())["sha256"] == digest


def test_a_workspace_has_so_many_at_a_time(api, stranger_api, settings):
    settings.UPLOADS_AT_ONCE = 2
    first, _ = asked(api, b"x"), asked(api, b"x")
    refused = api.post(UPLOADS, ASK)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:lamppost:problem:too-many-uploads")
    assert stranger_api.post(UPLOADS, ASK).status_code == 201
    assert api.delete(f"{UPLOADS}/{first['id']}").status_code == 204
    assert api.post(UPLOADS, ASK).status_code == 201


@pytest.mark.django_db(transaction=True)
def test_those_who_come_at_once_do_not_get_more(api_key, client_of, workspace, settings):
    settings.UPLOADS_AT_ONCE = 2
    clients = [client_of(api_key()) for _ in range(4)]

    def ask(client):
        try:
            return client.post(UPLOADS, ASK).status_code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(clients)) as pool:
        assert sorted(pool.map(ask, clients)) == [201, 201, 409, 409]


def test_asked_again_with_the_same_key_there_is_one(api):
    first, again = (api.post(UPLOADS, ASK, headers={"Idempotency-Key": "one"}) for _ in range(2))
    assert first.json()["id"] == again.json()["id"]
    assert again["Idempotency-Replayed"] == "true"
    assert Upload.objects.count() == 1


def test_they_are_listed_with_the_newest_first_and_without_addresses(api, stranger_api):
    ids = [asked(api, b"x", filename=name)["id"] for name in ("a.json", "b.json")]
    listed = api.get(UPLOADS).json()["data"]
    assert [(upload["id"], upload["filename"]) for upload in listed] == [(ids[1], "b.json"), (ids[0], "a.json")]
    assert "put" not in listed[0]
    assert stranger_api.get(UPLOADS).json()["data"] == []


def test_deleting_one_deletes_its_file(api):
    upload_id = uploaded(api, b"x")
    assert api.delete(f"{UPLOADS}/{upload_id}").status_code == 204
    assert objects() == []
    assert api.get(f"{UPLOADS}/{upload_id}").status_code == 404
    assert api.delete(f"{UPLOADS}/{upload_id}").status_code == 404


def test_one_that_an_import_reads_is_not_deleted_and_not_written(api):
    upload_id = uploaded(api, b"x")
    Upload.objects.update(import_id="0" * 32)
    assert api.get(f"{UPLOADS}/{upload_id}").json()["put"] is None
    refused = api.delete(f"{UPLOADS}/{upload_id}")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:lamppost:problem:upload-in-use")
    assert len(objects()) == 1


def test_while_the_store_is_away_nothing_is_deleted(api, monkeypatch):
    upload_id = uploaded(api, b"x")

    def away(*_, **__):
        raise ObjectStoreUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(ObjectStore, "delete", away)
        assert api.delete(f"{UPLOADS}/{upload_id}").status_code == 503
    assert Upload.objects.filter(pk=upload_id).exists()


def test_one_that_nobody_imports_goes_when_it_expires(api):
    old, young = uploaded(api, b"old"), uploaded(api, b"young")
    expire(old)
    sweep_uploads()
    assert list(Upload.objects.values_list("pk", flat=True)) == [young]
    assert len(objects()) == 1


def test_one_that_an_import_reads_does_not_expire(api):
    upload_id = uploaded(api, b"x")
    expire(upload_id)
    Upload.objects.update(import_id="f" * 32)
    enqueue(JobSpec(kind=IMPORT_DATASET.name, origin="import:" + "f" * 32))
    sweep_uploads()
    assert Upload.objects.filter(pk=upload_id).exists()
    assert len(objects()) == 1


def test_what_is_put_where_no_upload_is_any_more_goes_with_the_next_sweep(api):
    upload = asked(api, b"x")
    api.delete(f"{UPLOADS}/{upload['id']}")
    put(upload, b"late")
    assert len(objects()) == 1
    sweep_uploads()
    assert objects() == []


def test_a_file_larger_than_was_said_goes_with_the_next_sweep_and_others_stay(api):
    larger, other = asked(api, b"x"), uploaded(api, b"x")
    put(larger, b"x" * 100)
    sweep_uploads()
    assert api.get(f"{UPLOADS}/{larger['id']}").json()["stored_bytes"] is None
    assert api.get(f"{UPLOADS}/{other}").json()["stored_bytes"] == 1
