"""`manage.py agree_to_shared_training`: for people whose ids no address can hold, too."""

import io

import pytest
from django.core.management import CommandError, call_command

from tests.people import person
from users_app.models import AuditEntry, EndUser
from users_app.shared_training import may_learn_from


def call(*options, workspace="acme"):
    out = io.StringIO()
    call_command("agree_to_shared_training", "--workspace", workspace, *options, stdout=out)
    return out.getvalue()


@pytest.fixture
def imported(workspace):
    return [person(workspace, f"bench/LaMP-2/{number}") for number in (7, 8)]


def agreeing(workspace):
    return list(may_learn_from(workspace=workspace).order_by("pk"))


def test_those_who_are_named_agree(workspace, imported):
    said = call("--id", "bench/LaMP-2/7", "--id", "bench/LaMP-2/7")
    assert agreeing(workspace) == imported[:1]
    assert said == "1 users agree; of 1 that was not so before.\n"
    assert AuditEntry.objects.get().actor == "command"


def test_a_file_names_many(workspace, imported, tmp_path):
    (tmp_path / "ids").write_text("bench/LaMP-2/7\n\nbench/LaMP-2/8\r\n")
    call("--ids", str(tmp_path / "ids"))
    assert agreeing(workspace) == imported


def test_agreement_can_be_withdrawn(workspace, imported):
    call("--id", "bench/LaMP-2/7")
    assert "1 users do not agree" in call("--id", "bench/LaMP-2/7", "--withdraw")
    assert agreeing(workspace) == []


def test_where_one_is_not_known_nothing_is_noted(workspace, imported, mallory):
    with pytest.raises(CommandError, match="Number 2 of them is no end user of “acme”"):
        call("--id", "bench/LaMP-2/7", "--id", mallory.external_id)
    assert not EndUser.objects.filter(agreed_to_shared_training_at__isnull=False).exists()


def test_an_unknown_workspace_is_told(db):
    with pytest.raises(CommandError, match="no workspace"):
        call("--id", "x", workspace="nowhere")
