"""`manage.py erase_end_user` and `manage.py export_end_user`: for people whose ids no address can hold, too."""

import io
import zipfile

import pytest
from django.core.management import CommandError, call_command

from tests.people import OF_ALICE, person
from users_app.models import EndUser, ErasureReceipt


def call(name, external_id, *options, workspace="acme"):
    out = io.StringIO()
    call_command(name, "--workspace", workspace, "--id", external_id, *options, stdout=out)
    return out.getvalue()


@pytest.fixture
def imported(workspace):
    return person(workspace, "bench/LaMP-2/7", OF_ALICE)


def test_erasing_removes_the_person_and_says_so(imported):
    said = call("erase_end_user", "bench/LaMP-2/7", "--yes")
    assert not EndUser.objects.filter(pk=imported.pk).exists()
    assert f"Receipt {ErasureReceipt.objects.get().pk}: " in said
    assert "5 documents" in said


def test_erasing_asks_first(imported, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda _: "no")
    with pytest.raises(CommandError, match="Nothing was erased"):
        call("erase_end_user", "bench/LaMP-2/7")
    assert EndUser.objects.filter(pk=imported.pk).exists()


@pytest.mark.parametrize("command", [("erase_end_user", "--yes"), ("export_end_user", "--out", "never.zip")])
def test_who_is_of_another_workspace_is_not_found(imported, mallory, command):
    name, *options = command
    with pytest.raises(CommandError, match="no such end user"):
        call(name, "bench/LaMP-2/7", *options, workspace=mallory.workspace.slug)


def test_an_export_is_a_zip_that_its_owner_alone_can_read(imported, tmp_path):
    out = tmp_path / "person.zip"
    call("export_end_user", "bench/LaMP-2/7", "--out", str(out))
    with zipfile.ZipFile(out) as archive:
        assert archive.testzip() is None
        assert OF_ALICE[0]["text"].encode() in b"".join(archive.read(name) for name in archive.namelist())
    assert out.stat().st_mode & 0o777 == 0o600


def test_an_export_overwrites_nothing(imported, tmp_path):
    out = tmp_path / "person.zip"
    out.write_text("kept")
    with pytest.raises(CommandError, match="File exists"):
        call("export_end_user", "bench/LaMP-2/7", "--out", str(out))
    assert out.read_text() == "kept"
