import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from users_app.models import AuditEntry
from users_app.shared_training import set_agreement


def run(*words):
    call_command("shared_training", *words)


def test_the_policy_is_shown_with_how_many_it_allows(workspace, alice, bob, capsys):
    set_agreement(workspace=workspace, end_user=bob, agreed=True)
    run("--workspace", "acme")
    assert capsys.readouterr().out == "agreed: that of users who have agreed; 1 of 2 users\n"


def test_it_is_changed_and_who_ran_the_command_is_recorded(workspace, alice, capsys):
    run("--workspace", "acme", "everyone")
    assert capsys.readouterr().out == "everyone: everyone's; 1 of 1 users\n"
    [entry] = AuditEntry.objects.filter(action="shared_training.changed")
    assert (entry.actor, entry.details["to"]) == ("command", "everyone")


def test_another_word_is_refused_with_those_that_there_are(workspace):
    with pytest.raises(CommandError, match="choose from 'nobody', 'agreed', 'everyone'"):
        run("--workspace", "acme", "somebody")


def test_an_unknown_workspace_is_refused(db):
    with pytest.raises(CommandError, match="nowhere"):
        run("--workspace", "nowhere")
