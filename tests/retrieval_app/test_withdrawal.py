"""Ending the use of a trained model by hand."""

import pytest

from retrieval_app.models import TrainedModel
from retrieval_app.trained_models import trained_models
from retrieval_app.withdrawal import WithdrawalRefused, withdraw_trained_model
from tests.retrieval_app.trained import trained
from users_app.audit import actor_of_command
from users_app.models import AuditEntry


def test_nobody_uses_it_any_more_and_who_ended_that_is_on_record(workspace):
    model = trained(workspace)
    by = actor_of_command()
    assert withdraw_trained_model(workspace=workspace, trained_model=model, by=by)
    assert model.withdrawn_at is not None
    assert not trained_models(workspace=workspace).exists()
    [entry] = AuditEntry.objects.all()
    assert (entry.action, entry.subject, entry.actor_name) == ("trained_model.withdrawn", str(model.pk), by.name)
    assert entry.details == {"kind": "rspg-pre", "tasks": model.tasks}


def test_again_changes_and_records_nothing(workspace):
    model = trained(workspace)
    stale = TrainedModel.objects.get()
    withdraw_trained_model(workspace=workspace, trained_model=model)
    assert not withdraw_trained_model(workspace=workspace, trained_model=stale)
    assert TrainedModel.objects.get().withdrawn_at == model.withdrawn_at == stale.withdrawn_at
    assert AuditEntry.objects.count() == 1


def test_what_came_with_lamppost_serves_every_workspace_and_stays(workspace):
    with pytest.raises(WithdrawalRefused, match="came with Lamppost"):
        withdraw_trained_model(workspace=workspace, trained_model=trained(None))
    assert trained_models(workspace=workspace).exists()


def test_nobody_withdraws_another_workspaces(workspace, mallory):
    model = trained(mallory.workspace)
    with pytest.raises(TrainedModel.DoesNotExist):
        withdraw_trained_model(workspace=workspace, trained_model=model)
    assert trained_models(workspace=mallory.workspace).exists()
