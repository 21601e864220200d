"""A workspace in the admin: its quotas are seen and changed, and who changed them is kept."""

import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse

from users_app.models import AuditEntry, Workspace
from users_app.services import set_role

pytestmark = pytest.mark.django_db

NO_MEMBERS = {f"memberships-{name}": 0 for name in ("TOTAL_FORMS", "INITIAL_FORMS")}


@pytest.fixture
def staff(client):
    client.force_login(get_user_model().objects.create_superuser("root", password="pw"))
    return client


def change(staff, workspace, **fields):
    given = {"slug": workspace.slug, "name": workspace.name, "shared_training": "agreed", **fields, **NO_MEMBERS}
    return staff.post(reverse("admin:users_app_workspace_change", args=[workspace.pk]), given)


def test_what_is_used_is_shown_beside_the_limits(staff, alice, settings):
    settings.QUOTA_DOCUMENTS = 1_000
    page = staff.get(reverse("admin:users_app_workspace_change", args=[alice.workspace_id])).content.decode()
    assert "5 of 1,000 documents" in page
    assert 'name="quota_documents"' in page


def test_what_was_counted_can_be_looked_at(staff, alice):
    page = staff.get(reverse("admin:users_app_usage_changelist"), {"q": str(alice.workspace_id)})
    assert (page.status_code, page.context["cl"].result_count) == (200, 10)


def test_a_changed_quota_is_recorded_with_who_changed_it(staff, workspace):
    assert change(staff, workspace, quota_documents="100").status_code == 302
    assert Workspace.objects.get(pk=workspace.pk).quota_documents == 100
    [entry] = AuditEntry.objects.all()
    assert (entry.action, entry.actor, entry.actor_name) == ("quota.changed", "staff", "root")
    assert (entry.subject, entry.details) == ("documents", {"from": None, "to": 100})
    assert entry.staff_id == get_user_model().objects.get().pk
    assert entry.request_id


def test_a_name_is_changed_without_an_entry(staff, workspace):
    change(staff, workspace, name="Another")
    assert Workspace.objects.get(pk=workspace.pk).name == "Another"
    assert not AuditEntry.objects.exists()


def test_a_new_workspace_has_the_quotas_that_it_is_made_with(staff):
    given = {"slug": "new", "name": "New", "shared_training": "agreed", "quota_bytes": "7", **NO_MEMBERS}
    assert staff.post(reverse("admin:users_app_workspace_add"), given).status_code == 302
    assert Workspace.objects.get().quota_bytes == 7
    assert AuditEntry.objects.get().subject == "bytes"


def test_a_negative_quota_is_refused(staff, workspace):
    assert change(staff, workspace, quota_documents="-1").status_code == 200
    assert Workspace.objects.get(pk=workspace.pk).quota_documents is None


class TestSharedTraining:
    @pytest.fixture
    def workspace_admin(self, client, workspace):
        user = get_user_model().objects.create_user("rita", is_staff=True)
        set_role(workspace=workspace, user_id=user.pk, role="admin")
        client.force_login(user)
        return client

    def test_a_workspace_s_admin_changes_it_and_is_recorded(self, workspace_admin, workspace):
        assert change(workspace_admin, workspace, shared_training="everyone").status_code == 302
        assert Workspace.objects.get(pk=workspace.pk).shared_training == "everyone"
        [entry] = AuditEntry.objects.filter(action="shared_training.changed")
        assert (entry.actor_name, entry.details) == ("rita", {"from": "agreed", "to": "everyone"})

    def test_so_does_a_superuser(self, staff, workspace):
        change(staff, workspace, shared_training="nobody")
        assert Workspace.objects.get(pk=workspace.pk).shared_training == "nobody"
        assert AuditEntry.objects.get().action == "shared_training.changed"

    def test_a_new_workspace_has_the_policy_that_it_is_made_with(self, staff):
        given = {"slug": "new", "name": "New", "shared_training": "nobody", **NO_MEMBERS}
        staff.post(reverse("admin:users_app_workspace_add"), given)
        assert Workspace.objects.get().shared_training == "nobody"

    def test_what_is_no_policy_is_refused(self, staff, workspace):
        assert change(staff, workspace, shared_training="somebody").status_code == 200
        assert Workspace.objects.get(pk=workspace.pk).shared_training == "agreed"
