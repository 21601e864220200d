"""Taking a backup while the platform is in use, and what keeps one from being taken."""

import os
import signal
import stat
import subprocess
import sys
import threading
import time

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from common.backups import postgres
from common.backups.checking import check_backup
from common.backups.errors import BackupError
from common.backups.folder import BackupFolder
from common.backups.restoring import restore_backup
from common.backups.taking import take_backup
from common.objects import get_store
from eval_app.models import Upload
from eval_app.uploads import create_upload
from tests.backups import elsewhere, stored_adapter
from tests.common.backups.programs import a_program
from tests.servers import REPOSITORY
from training_app.models import Adapter
from users_app.erasure import erase_end_user
from users_app.models import EndUser

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def two_adapters(clean_store, alice, bob):
    return stored_adapter(alice), stored_adapter(bob)


def meanwhile(moment, action):
    """A report that has `action` done by somebody else at the first word of `moment`."""
    left = [action]

    def report(what, done, total):
        if what == moment and left:
            doing = threading.Thread(target=_alone, args=[left.pop()])
            doing.start()
            doing.join()

    return report


def _alone(action):
    try:
        action()
    finally:
        connection.close()


def test_who_is_erased_while_it_is_taken_is_waited_for_by_nobody(two_adapters, bob, folder, silent):
    workspace = bob.workspace

    def erase():
        erase_end_user(workspace=workspace, end_user=bob)

    taken = take_backup(folder, report=meanwhile("the database", erase))

    assert not EndUser.objects.filter(external_id="bob").exists()
    assert [one.prefix for one in taken.deleted] == [two_adapters[1].object_prefix]
    assert taken.damaged == ()
    assert taken.manifest.object_count == 2
    with elsewhere():
        restored = restore_backup(folder, report=silent)
        # As of the snapshot he is there, but nobody looks for the files that are gone.
        assert EndUser.objects.filter(external_id="bob").exists()
        assert restored.withdrawn == 1
        assert [adapter.pk for adapter in Adapter.objects.filter(withdrawn_at__isnull=True)] == [two_adapters[0].pk]


@pytest.mark.long
def test_what_is_written_while_it_is_taken_is_not_in_it(two_adapters, alice, folder, silent):
    taken = take_backup(folder, report=meanwhile("the database", lambda: stored_adapter(alice, seed=1)))
    assert taken.manifest.object_count == 4
    assert taken.manifest.counts["training_app_adapter"] == 2


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (lambda prefix: get_store().put_bytes(prefix + "adapter_model.safetensors", b"else"), "digest differs"),
        pytest.param(
            lambda prefix: get_store().delete(prefix + "adapter_model.safetensors"),
            "digest differs",
            marks=pytest.mark.long,
        ),
        pytest.param(lambda prefix: get_store().delete_prefix(prefix), "missing", marks=pytest.mark.long),
    ],
)
def test_what_the_store_has_lost_is_named_and_the_rest_is_backed_up(two_adapters, folder, capsys, harm, why):
    lost = two_adapters[1].object_prefix
    harm(lost)
    with pytest.raises(CommandError, match="does not have 1 of what the database names") as refusal:
        call_command("backup", to=folder)
    assert refusal.value.returncode == 3
    assert f"{lost}: " in (told := capsys.readouterr().err)
    assert why in told
    assert check_backup(folder, report=lambda *_: None).object_count == 2
    assert len([path for path in (folder / "objects").rglob("*") if path.is_file()]) == 2


@pytest.mark.long
def test_an_upload_that_has_not_come_yet_is_missed_by_nobody(clean_store, workspace, folder, silent):
    with transaction.atomic():
        came, to_come = (create_upload(workspace=workspace, name=name, size=2) for name in ("a", "b"))
    get_store().put_bytes(came.object_key, b"{}")
    taken = take_backup(folder, report=silent)
    assert Upload.objects.filter(pk=to_come.pk).exists()
    assert (taken.manifest.object_count, taken.manifest.left_out) == (1, ())


@pytest.mark.long
def test_only_its_owner_may_read_it(two_adapters, folder, silent):
    take_backup(folder, report=silent)
    paths = [folder, *folder.rglob("*")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_dir()} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_file()} == {0o600}


@pytest.mark.long
def test_a_whole_backup_is_never_written_over(two_adapters, folder, silent):
    take_backup(folder, report=silent)
    with pytest.raises(BackupError, match="holds a whole backup, which is kept"):
        take_backup(folder, report=silent)
    check_backup(folder, report=silent)


@pytest.mark.long
def test_a_folder_with_other_things_is_left_alone(clean_store, folder, silent):
    folder.mkdir()
    (folder / "notes").write_text("mine")
    with pytest.raises(BackupError, match="is not empty"):
        take_backup(folder, report=silent)
    assert [path.name for path in folder.iterdir()] == ["notes"]


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param("the database", marks=pytest.mark.long),
        pytest.param("the rows", marks=pytest.mark.long),
        "the objects",
    ],
)
def test_one_that_breaks_off_is_no_backup_and_is_begun_again_in_its_place(two_adapters, folder, silent, moment):
    def break_off(what, done, total):
        if what == moment:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        take_backup(folder, report=break_off)
    with pytest.raises(BackupError, match=r"not whole.*was interrupted"):
        check_backup(folder, report=silent)

    take_backup(folder, report=silent)

    assert check_backup(folder, report=silent).object_count == 4


@pytest.mark.long
def test_one_that_is_killed_is_no_backup(two_adapters, alice, folder, silent, settings):
    for seed in range(1, 40):
        stored_adapter(alice, seed=seed)
    told = connection.settings_dict
    address = f"postgresql://{told['USER']}:{told['PASSWORD']}@{told['HOST']}:{told['PORT']}/{told['NAME']}"
    process = subprocess.Popen(
        [sys.executable, str(REPOSITORY / "manage.py"), "backup", "--to", str(folder)],
        env={
            **os.environ,
            **{
                name: getattr(settings, name) for name in ("S3_ENDPOINT", "S3_ACCESS_KEY", "S3_SECRET_KEY", "S3_BUCKET")
            },
            "DATABASE_URL": address,
            "DJANGO_SETTINGS_MODULE": "config.settings",
        },
        stdout=subprocess.DEVNULL,
    )
    until = time.monotonic() + 60
    while not list(folder.glob("objects/*/*")):
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with pytest.raises(BackupError, match=r"not whole.*was interrupted"):
        BackupFolder(folder).manifest()
    assert take_backup(folder, report=silent).manifest.object_count == 82


@pytest.mark.long
def test_the_password_is_no_argument_of_any_program(clean_store, folder, silent, tmp_path, settings):
    real = postgres.programs_for(server_version=postgres.server_version()).folder
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("pg_dump", "pg_restore"):
        a_program(programs, name, f'echo "$@" >> {tmp_path}/arguments; exec {real}/{name} "$@"')
    settings.POSTGRES_PROGRAMS = str(programs)
    take_backup(folder, report=silent)
    with elsewhere():
        restore_backup(folder, report=silent)
    told = (tmp_path / "arguments").read_text()
    assert "--snapshot=" in told
    assert "--single-transaction" in told
    assert connection.settings_dict["PASSWORD"] not in told


@pytest.mark.long
def test_programs_older_than_the_server_are_refused(clean_store, folder, silent, tmp_path, settings):
    for name in ("pg_dump", "pg_restore"):
        a_program(tmp_path, name, f'echo "{name} (PostgreSQL) 9.6.24"')
    settings.POSTGRES_PROGRAMS = str(tmp_path)
    with pytest.raises(BackupError, match=r"PostgreSQL \d+ or newer are needed, and those there are of 9\.6"):
        take_backup(folder, report=silent)
    assert not folder.exists()


@pytest.mark.long
def test_a_dump_that_fails_is_no_backup(clean_store, folder, silent, tmp_path, settings):
    for name in ("pg_dump", "pg_restore"):
        a_program(
            tmp_path, name, f'[ "$1" = --version ] && echo "{name} (PostgreSQL) 99.1" && exit; echo some bytes; '
            'echo "pg_dump: error: it broke" >&2; exit 1',
        )  # fmt: skip
    settings.POSTGRES_PROGRAMS = str(tmp_path)
    with pytest.raises(BackupError, match="pg_dump failed: pg_dump: error: it broke"):
        take_backup(folder, report=silent)
    with pytest.raises(BackupError, match="not whole"):
        check_backup(folder, report=silent)


@pytest.mark.long
def test_a_disk_that_is_too_small_is_noticed_before(two_adapters, folder, silent, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    with pytest.raises(BackupError, match=r"1,000 bytes free.*--ignore-free-space"):
        take_backup(folder, report=silent)
    assert take_backup(folder, report=silent, ignore_free_space=True).manifest.object_count == 4
