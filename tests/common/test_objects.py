import http.server
import os
import threading
import time
import urllib.error
import urllib.request
import uuid

import pytest
from django.conf import settings

from common.objects import (
    ObjectMissing,
    ObjectStore,
    ObjectStoreError,
    ObjectStoreRefused,
    ObjectStoreUnavailable,
    ObjectTooLarge,
    get_store,
)
from tests.cut_connections import cut_after


@pytest.fixture
def store(every_s3_server):
    store = get_store()
    yield store
    for info in list(store.list()):
        store.delete(info.key)


def store_with(**changes: str) -> ObjectStore:
    options = {
        "endpoint": settings.S3_ENDPOINT,
        "public_endpoint": settings.S3_PUBLIC_ENDPOINT,
        "access_key": settings.S3_ACCESS_KEY,
        "secret_key": settings.S3_SECRET_KEY,
        "bucket": settings.S3_BUCKET,
    }
    return ObjectStore(**{**options, **changes})


@pytest.mark.parametrize("data", [b"", b"hello", bytes(range(256)) * 300])
def test_bytes_come_back_as_they_were(store, data):
    stored = store.put_bytes("a/b", data)
    assert stored.size == len(data)
    assert store.stat("a/b").size == len(data)
    assert store.get_bytes("a/b", max_bytes=len(data)) == data


def test_a_second_put_replaces_the_object(store):
    store.put_bytes("a/b", b"old and long")
    store.put_bytes("a/b", b"new")
    assert store.get_bytes("a/b", max_bytes=100) == b"new"


def test_a_file_of_several_parts_comes_back_as_it_was(store, tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(os.urandom(20 * 1024 * 1024 + 17))
    store.put_file("big/file", source)
    store.download("big/file", target)
    assert target.read_bytes() == source.read_bytes()
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []


def test_keys_of_any_script_work(store):
    for key in ("ü/你好 +%&?=#.txt", "a b/c", "dots.in.it/..x"):
        store.put_bytes(key, key.encode())
        assert store.get_bytes(key, max_bytes=100) == key.encode()
        assert [info.key for info in store.list(key.split("/")[0] + "/")] == [key]


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "../a", "a/./b", "a\0b", "x" * 1025])
def test_a_key_that_some_server_cannot_hold_is_refused(key):
    with pytest.raises(ValueError, match="cannot be the key"):
        get_store().put_bytes(key, b"")


def test_reading_stops_at_the_bound(store):
    store.put_bytes("a/b", b"x" * 1001)
    with pytest.raises(ObjectTooLarge, match="1000 bytes"):
        store.get_bytes("a/b", max_bytes=1000)


def test_an_object_can_be_read_while_it_arrives(store):
    store.put_bytes("a/b", b"one\ntwo\n")
    with store.open_stream("a/b") as stream:
        assert stream.read(2) == b"on"
        assert list(stream) == [b"e\n", b"two\n"]


def test_a_missing_object_is_said_to_be_missing(store, tmp_path):
    assert store.stat("no/such") is None
    with pytest.raises(ObjectMissing, match="no/such"):
        store.get_bytes("no/such", max_bytes=1)
    with pytest.raises(ObjectMissing):
        store.download("no/such", tmp_path / "file")
    assert list(tmp_path.iterdir()) == []
    store.delete("no/such")


def test_a_failed_download_leaves_the_file_as_it_was(store, tmp_path):
    target = tmp_path / "file"
    target.write_bytes(b"before")
    with pytest.raises(ObjectMissing):
        store.download("no/such", target)
    assert target.read_bytes() == b"before"


def test_a_prefix_is_listed_and_deleted_alone(store):
    for key in ("run/1/a", "run/1/b/c", "run/10/a", "other"):
        store.put_bytes(key, b"x")
    assert [info.key for info in store.list("run/1/")] == ["run/1/a", "run/1/b/c"]
    assert store.delete_prefix("run/1/") == 2
    assert store.delete_prefix("run/1/") == 0
    assert [info.key for info in store.list()] == ["other", "run/10/a"]


def test_a_prefix_that_would_catch_its_neighbours_is_refused(store):
    with pytest.raises(ValueError, match="more than one folder"):
        store.delete_prefix("run/1")


def test_the_bucket_is_made_by_the_first_write_and_missed_by_no_read(every_s3_server):
    store = store_with(bucket=f"fresh-{uuid.uuid4().hex}")
    assert store.stat("a") is None
    assert list(store.list()) == []
    assert store.delete_prefix("a/") == 0
    store.delete("a")
    with pytest.raises(ObjectMissing):
        store.get_bytes("a", max_bytes=1)

    store.put_bytes("a", b"x")

    assert store.get_bytes("a", max_bytes=1) == b"x"
    store.ensure_bucket()
    store.delete("a")


def test_presigned_addresses_need_no_keys(store):
    store.put_bytes("a/b", b"hello")
    with urllib.request.urlopen(store.presigned_get("a/b", seconds=60)) as answer:
        assert answer.read() == b"hello"
    upload = urllib.request.Request(store.presigned_put("a/c", seconds=60), data=b"sent", method="PUT")
    with urllib.request.urlopen(upload) as answer:
        assert answer.status == 200
    assert store.get_bytes("a/c", max_bytes=10) == b"sent"


def test_a_presigned_address_opens_one_object_only(store):
    store.put_bytes("a/b", b"mine")
    store.put_bytes("a/c", b"another's")
    address = store.presigned_get("a/b", seconds=60).replace("/a/b?", "/a/c?")
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(address)
    assert refusal.value.code == 403


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_presigned_address_expires(store, method):
    store.put_bytes("a/b", b"before")
    presign = store.presigned_get if method == "GET" else store.presigned_put
    asked = urllib.request.Request(presign("a/b", seconds=1), data=b"after" if method == "PUT" else None, method=method)
    time.sleep(2.5)
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(asked)
    # 403 is S3's answer; rclone says 400.
    assert refusal.value.code in (400, 403)
    assert store.get_bytes("a/b", max_bytes=10) == b"before"


@pytest.mark.parametrize("before", [None, b"before"])
@pytest.mark.parametrize("megabytes", [1, 40])
def test_an_upload_that_is_cut_leaves_what_was_there(store, tmp_path, megabytes, before):
    """Of one request, and in the second of three parts."""
    if before is not None:
        store.put_bytes("big/file", before)
    source = tmp_path / "source"
    source.write_bytes(os.urandom(megabytes * 1024 * 1024))

    half = megabytes * 1024 * 1024 // 2
    with cut_after(store.endpoint, sent_bytes=half) as endpoint, pytest.raises(ObjectStoreUnavailable):
        store_with(endpoint=endpoint).put_file("big/file", source)

    assert [info.key for info in store.list()] == ([] if before is None else ["big/file"])
    if before is not None:
        assert store.get_bytes("big/file", max_bytes=10) == before

    store.put_file("big/file", source)
    store.download("big/file", tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == source.read_bytes()


READING = {
    "get_bytes": lambda store, folder: store.get_bytes("a/b", max_bytes=2**30),
    "download": lambda store, folder: store.download("a/b", folder / "target"),
}


@pytest.mark.parametrize("reading", READING)
def test_an_object_that_breaks_off_is_an_error(store, tmp_path, reading):
    store.put_bytes("a/b", os.urandom(4 * 1024 * 1024))
    with cut_after(store.endpoint, received_bytes=1024 * 1024) as endpoint:
        cut = store_with(endpoint=endpoint)
        with pytest.raises(ObjectStoreUnavailable):
            READING[reading](cut, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_presigned_addresses_name_the_public_endpoint():
    store = store_with(public_endpoint="https://files.example.org")
    assert store.presigned_get("a/b", seconds=60).startswith(f"https://files.example.org/{settings.S3_BUCKET}/a/b?")


ACTIONS = {
    "get": lambda store: store.get_bytes("a/b", max_bytes=1),
    "put": lambda store: store.put_bytes("a/b", b"x"),
    "list": lambda store: list(store.list()),
    "stat": lambda store: store.stat("a/b"),
    "ensure_bucket": lambda store: store.ensure_bucket(),
}


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("wrong", [{"secret_key": "w" * 40}, {"access_key": "W" * 20}])
def test_wrong_keys_are_refused_and_named(store, action, wrong):
    store.put_bytes("a/b", b"x")
    with pytest.raises(ObjectStoreRefused, match="S3_ACCESS_KEY and S3_SECRET_KEY"):
        ACTIONS[action](store_with(**wrong))


@pytest.mark.parametrize("action", ACTIONS)
def test_an_unreachable_server_is_an_error_within_seconds(action):
    begun = time.monotonic()
    with pytest.raises(ObjectStoreUnavailable, match=r"cannot be reached.*stack up.*S3_ENDPOINT"):
        ACTIONS[action](store_with(endpoint="http://127.0.0.1:9"))
    assert time.monotonic() - begun < 5


def test_a_server_of_another_kind_is_told_apart():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Silent) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        store = store_with(endpoint=f"http://127.0.0.1:{server.server_address[1]}")
        with pytest.raises(ObjectStoreUnavailable, match="not as an S3 server"):
            store.get_bytes("a/b", max_bytes=1)
        server.shutdown()


class _Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None: ...


@pytest.mark.parametrize("address", ["127.0.0.1:9000", "ftp://host", "http://host/path", ""])
def test_an_address_that_is_none_is_explained(address):
    with pytest.raises(ObjectStoreError, match="S3_ENDPOINT"):
        store_with(endpoint=address)


def test_the_store_is_kept_within_a_process():
    assert get_store() is get_store()
