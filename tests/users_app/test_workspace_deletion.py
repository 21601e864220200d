"""A workspace is deleted with everything that is in it, whoever of the apps has put it there."""

import pytest
from django.apps import apps

from tests.everything import one_of_everything
from tests.routes import leads_to_workspace, rows_of
from users_app.exporting import export_end_user
from users_app.models import Workspace
from users_app.quotas import set_quotas

pytestmark = pytest.mark.django_db


def models_with_rows(workspace_id):
    """Which models have rows of that workspace, whether or not it stands itself."""
    workspace = Workspace(pk=workspace_id)
    models = [model for model in apps.get_models() if leads_to_workspace(model)]
    return {model._meta.label for model in models if rows_of(model, workspace).exists()}


def test_nothing_of_it_is_left_and_nothing_of_another_is_touched(workspace, alice, dev, api_key, mallory):
    api_key()
    one_of_everything(workspace=workspace, alice=alice, dev=dev)
    # Entries of the audit log, one of which names a person.
    export_end_user(workspace=workspace, end_user=alice)
    for each in (workspace, mallory.workspace):
        set_quotas(workspace=each, limits={"documents": 1_000})
    pk, others = workspace.pk, models_with_rows(mallory.workspace_id)
    stood = models_with_rows(pk)
    assert {"users_app.AuditEntry", "users_app.Usage", "users_app.WebhookDelivery", "eval_app.Upload"} < stood
    workspace.delete()
    # Jobs have no foreign key, and hold no text: they find nothing to do, and go with their retention.
    assert models_with_rows(pk) == {"jobs.Job"}
    assert models_with_rows(mallory.workspace_id) == others
