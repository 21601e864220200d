"""Where a backup is not restored, and that nothing was done then."""

import pytest
from django.core.management import CommandError, call_command

from common.backups import postgres
from common.backups.errors import BackupError
from common.backups.restoring import restore_backup
from common.backups.taking import take_backup
from common.objects import get_store
from tests.backups import all_objects, all_rows, change_manifest, elsewhere, stored_adapter
from tests.common.backups.programs import a_program
from users_app.models import Document, EndUser

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def backup(clean_store, alice, folder, silent):
    """Of Alice with an adapter."""
    stored_adapter(alice)
    take_backup(folder, report=silent)
    return folder


def refused(folder, match, *, tables=()):
    with pytest.raises(BackupError, match=match):
        restore_backup(folder, report=lambda *_: None)
    assert sorted(all_rows()) == sorted(tables)


def test_into_a_database_that_holds_something_nothing_is_restored(backup, silent):
    rows, objects = all_rows(), all_objects()
    with pytest.raises(BackupError, match=r"not empty, and nothing in it was changed.*users_app_"):
        restore_backup(backup, report=silent)
    assert all_rows() == rows
    assert all_objects() == objects


def test_into_a_bucket_that_holds_something_else_nothing_is_restored(backup):
    with elsewhere():
        get_store().put_bytes("somebody/else's", b"x")
        refused(backup, r"bucket .* is not empty, and nothing in it was changed.*somebody/else's")
        assert list(all_objects()) == ["somebody/else's"]


@pytest.mark.long
def test_a_damaged_backup_touches_nothing(backup):
    path = next(path for path in (backup / "objects").rglob("*") if path.is_file())
    path.write_bytes(b"x" * path.stat().st_size)
    with elsewhere():
        refused(backup, "is not what was written")
        assert all_objects() == {}


def test_migrations_that_this_version_does_not_know_are_left_to_a_newer_one(backup):
    change_manifest(backup, lambda told: told["migrations"].append(["users_app", "9999_from_the_future"]))
    with elsewhere():
        refused(backup, r"does not know yet \(users_app\.9999_from_the_future\)")
        assert all_objects() == {}


@pytest.mark.long
def test_an_older_server_is_refused(backup):
    change_manifest(backup, lambda told: told.update(postgres_server=990001))
    with elsewhere():
        refused(backup, r"comes from PostgreSQL 99\.1, and this server is older")
        assert all_objects() == {}


@pytest.mark.long
def test_a_server_without_an_extension_is_refused(backup):
    change_manifest(backup, lambda told: told["extensions"].update(postgis="3"))
    with elsewhere():
        refused(backup, "lacks what the backup needs: postgis")
        assert all_objects() == {}


def test_a_restore_that_breaks_off_is_given_again(backup, silent, tmp_path, settings):
    rows = all_rows(without=postgres.LEFT_OUT)
    for name in ("pg_dump", "pg_restore"):
        a_program(
            tmp_path, name, f'[ "$1" = --version ] && echo "{name} (PostgreSQL) 99.1" && exit; '
            'echo "pg_restore: error: it broke" >&2; echo "CONTEXT:  so tired of mondays" >&2; exit 1',
        )  # fmt: skip
    with elsewhere():
        settings.POSTGRES_PROGRAMS = str(tmp_path)
        with pytest.raises(BackupError, match=r"without tables: pg_restore: error: it broke$"):
            restore_backup(backup, report=silent)
        assert all_rows() == {}

        settings.POSTGRES_PROGRAMS = ""
        restore_backup(backup, report=silent)

        assert all_rows(without=postgres.LEFT_OUT) == rows


@pytest.mark.long
def test_another_secret_key_is_noticed_and_what_it_means_is_said(backup, settings, capsys):
    before = settings.SECRET_KEY
    settings.SECRET_KEY = "another"
    with elsewhere():
        call_command("restore", source=backup)
    assert "SECRET_KEY is another than the backup's" in capsys.readouterr().err
    settings.SECRET_KEY_FALLBACKS = [before]
    with elsewhere():
        call_command("restore", source=backup)
    assert capsys.readouterr().err == ""


@pytest.mark.long
def test_the_operator_is_told_that_who_was_erased_since_is_back(backup, capsys):
    with elsewhere():
        call_command("restore", source=backup)
        assert Document.objects.filter(end_user=EndUser.objects.get(external_id="alice")).count() == 5
    assert "Whoever was erased after" in capsys.readouterr().out


@pytest.mark.long
def test_verifying_says_whether_it_is_whole(backup, capsys):
    call_command("restore", source=backup, verify=True)
    assert "is whole: 2 objects" in capsys.readouterr().out
    (backup / "database.dump").write_bytes(b"")
    with pytest.raises(CommandError, match=r"database\.dump .* is not what was written"):
        call_command("restore", source=backup, verify=True)
