"""A backup that is not what was written is refused: changed, incomplete, or made to do harm."""

import hashlib
import os

import pytest

from common.backups.checking import check_backup
from common.backups.errors import BackupError
from common.backups.folder import DATABASE, OBJECT_LIST, BackupFolder
from common.backups.manifest import FORMAT, FileEntry, Manifest, ObjectEntry, write_objects
from tests.backups import change_manifest, change_objects

CONTENTS = {"adapters/ab/1": b"first", "adapters/ab/2": b"second"}


@pytest.fixture
def backup(folder):
    """A small one, whose dump nobody could restore."""
    target = BackupFolder(folder)
    with target.being_made():
        _fill(target)
    return folder


def _fill(target):
    entries = []
    for key, content in CONTENTS.items():
        with target.new_object() as file:
            file.write(content)
        entries.append(ObjectEntry(key, file.size, file.sha256))
    with target.new_file(DATABASE) as dump:
        dump.write(b"PGDMP")
    with target.new_file(OBJECT_LIST) as listing:
        write_objects(listing, entries)
    target.seal(
        Manifest(
            format=FORMAT,
            lamppost="0.1.0",
            taken_at="2026-01-02T03:04:05+00:00",
            finished_at="2026-01-02T03:05:05+00:00",
            postgres_server=180004,
            pg_dump=180004,
            extensions={"vector": "0.8.5"},
            migrations=(("users_app", "0001_initial"),),
            counts={"users_app_enduser": 2},
            database=FileEntry(DATABASE, dump.size, dump.sha256),
            objects=FileEntry(OBJECT_LIST, listing.size, listing.sha256),
            object_count=2,
            object_bytes=11,
            left_out=(),
            secret_key_salt="00",
            secret_key_mark="00",
        )
    )


def refused(folder, match):
    with pytest.raises(BackupError, match=match):
        check_backup(folder, report=lambda *_: None)


def object_file(folder, content):
    sha256 = hashlib.sha256(content).hexdigest()
    return folder / "objects" / sha256[:2] / sha256


def test_one_process_at_a_time_makes_one(folder):
    with BackupFolder(folder).being_made():
        with pytest.raises(BackupError, match="Another process is making a backup"), BackupFolder(folder).being_made():
            pass
        (folder / OBJECT_LIST).write_text("half of it")
    refused(folder, r"not whole.*interrupted")
    with BackupFolder(folder).being_made():
        assert not (folder / OBJECT_LIST).exists()


def test_one_that_is_as_it_was_written_is_whole(backup):
    assert check_backup(backup, report=lambda *_: None).object_count == 2


@pytest.mark.parametrize("place", ["database.dump", "objects.jsonl", "manifest.json", "object"])
def test_a_changed_byte_is_found_anywhere(backup, place):
    path = object_file(backup, b"second") if place == "object" else backup / place
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    refused(backup, "is not what was written")


@pytest.mark.parametrize("place", ["database.dump", "objects.jsonl", "object"])
def test_a_file_that_is_gone_is_missed(backup, place):
    (object_file(backup, b"first") if place == "object" else backup / place).unlink()
    refused(backup, "is missing in")


def test_without_the_seal_it_is_not_whole(backup):
    (backup / "manifest.json.sha256").unlink()
    refused(backup, r"not whole.*interrupted")


def test_the_seal_is_what_sha256sum_writes(backup):
    digest = hashlib.sha256((backup / "manifest.json").read_bytes()).hexdigest()
    assert (backup / "manifest.json.sha256").read_text() == f"{digest}  manifest.json\n"


def test_a_folder_without_a_backup_is_told_apart(tmp_path):
    refused(tmp_path, "There is no backup in")
    refused(tmp_path / "nowhere", "There is no folder")


def test_a_newer_format_is_left_to_a_newer_version(backup):
    change_manifest(backup, lambda told: told.update(format=FORMAT + 1, lamppost="9.0"))
    refused(backup, rf"format {FORMAT + 1}.*a newer one has made it \('9\.0'\)")


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a/b.dump", "database.dump\n", "..", ""])
def test_a_file_outside_of_the_folder_is_never_opened(backup, name):
    change_manifest(backup, lambda told: told["database"].update(name=name))
    refused(backup, "not what a backup says of itself")


@pytest.mark.parametrize("sha256", ["../../../etc/passwd", "A" * 64, "a" * 63, "a" * 64 + "\n", 7, None])
def test_an_object_is_named_by_a_digest_alone(backup, sha256):
    change_objects(backup, [{"key": "a", "size": 1, "sha256": sha256}])
    refused(backup, "names no object that could be stored")


@pytest.mark.parametrize("key", ["../a", "/a", "a//b", "a/", "", "a\0b", "x" * 1025, 7])
def test_a_key_that_no_store_can_hold_is_refused(backup, key):
    change_objects(backup, [{"key": key, "size": 5, "sha256": hashlib.sha256(b"first").hexdigest()}])
    refused(backup, "names no object that could be stored")


def test_a_key_comes_once(backup):
    line = {"key": "a", "size": 5, "sha256": hashlib.sha256(b"first").hexdigest()}
    change_objects(backup, [line, line])
    refused(backup, "out of order")


def test_a_link_in_place_of_an_object_is_not_followed(backup, tmp_path):
    (tmp_path / "elsewhere").write_bytes(b"first")
    place = object_file(backup, b"first")
    place.unlink()
    os.symlink(tmp_path / "elsewhere", place)
    refused(backup, "is missing in")


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"null", b"\xff", b"[" * 100_000])
def test_a_manifest_that_is_none_is_refused(backup, data):
    (backup / "manifest.json").write_bytes(data)
    (backup / "manifest.json.sha256").write_text(f"{hashlib.sha256(data).hexdigest()}  manifest.json\n")
    refused(backup, "not what a backup says of itself")


@pytest.mark.parametrize(
    "change",
    [
        {"object_count": -1},
        {"object_count": True},
        {"object_bytes": 1.5},
        {"migrations": [["a"]]},
        {"counts": []},
        {"counts": {'a"; DROP TABLE b; --': 1}},
        {"taken_at": "soon"},
        {"lamppost": "\x1b[31m"},
        {"secret_key_salt": "no"},
    ],
)
def test_numbers_and_lists_are_of_their_kind(backup, change):
    change_manifest(backup, lambda told: told.update(change))
    refused(backup, "not what a backup says of itself")


def test_a_list_of_fewer_objects_than_were_counted_is_refused(backup):
    change_manifest(backup, lambda told: told.update(object_count=3))
    refused(backup, "does not list what the backup says it holds")
