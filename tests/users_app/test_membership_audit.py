"""Who is a member of a workspace sees its people's data: whoever changes that stands in the audit log."""

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.urls import reverse

from tests.members import member_of
from users_app.audit import Actor
from users_app.models import AuditEntry, Membership
from users_app.selectors import role_of
from users_app.services import end_membership, set_role

pytestmark = pytest.mark.django_db

SOMEBODY = Actor(kind=AuditEntry.ActorKind.COMMAND, name="somebody")


@pytest.fixture
def rita():
    return get_user_model().objects.create_user("rita")


def changes(workspace, *, of="rita"):
    """By whom the member's role was changed, from what and to what, in order."""
    entries = AuditEntry.objects.filter(workspace=workspace, action="membership.changed", subject=of).order_by("pk")
    return [(one.actor_name, one.details["from"], one.details["to"]) for one in entries]


def give(workspace, user, role):
    return set_role(workspace=workspace, user_id=user.pk, role=role, by=SOMEBODY)


class TestServices:
    def test_record_who_becomes_a_member_changes_and_goes(self, workspace, rita):
        give(workspace, rita, "viewer"), give(workspace, rita, "admin")
        end_membership(workspace=workspace, user_id=rita.pk, by=SOMEBODY)
        assert changes(workspace) == [
            ("somebody", None, "viewer"),
            ("somebody", "viewer", "admin"),
            ("somebody", "admin", None),
        ]
        assert role_of(workspace=workspace, user_id=rita.pk) is None

    def test_record_nothing_where_nothing_changes(self, workspace, rita):
        give(workspace, rita, "viewer"), give(workspace, rita, "viewer")
        assert len(changes(workspace)) == 1

    def test_record_nothing_of_who_was_no_member(self, workspace, rita):
        end_membership(workspace=workspace, user_id=rita.pk, by=SOMEBODY)
        assert changes(workspace) == []

    def test_leave_other_workspaces_alone(self, workspace, mallory, rita):
        give(workspace, rita, "viewer"), give(mallory.workspace, rita, "admin")
        end_membership(workspace=workspace, user_id=rita.pk, by=SOMEBODY)
        assert role_of(workspace=mallory.workspace, user_id=rita.pk) == "admin"
        assert changes(mallory.workspace) == [("somebody", None, "admin")]


def test_the_command_names_who_ran_it(workspace, monkeypatch):
    monkeypatch.setattr("users_app.audit.pwd.getpwuid", lambda uid: type("Entry", (), {"pw_name": "operator"}))
    call_command("add_member", "--workspace", workspace.slug, "--user", "rita", "--role", "researcher")
    assert changes(workspace) == [("operator", None, "researcher")]


class TestAdmin:
    @pytest.fixture
    def root(self, client):
        client.force_login(get_user_model().objects.create_superuser("root", password="pw"))
        return client

    @pytest.fixture
    def workspace_admin(self, workspace):
        return member_of(workspace, "admin", is_staff=True)

    def change(self, client, workspace, *rows):
        """Save the workspace's page with these rows of members."""
        given = {"slug": workspace.slug, "name": workspace.name, "shared_training": "agreed"}
        given |= {"memberships-TOTAL_FORMS": len(rows), "memberships-INITIAL_FORMS": sum("id" in row for row in rows)}
        for number, row in enumerate(rows):
            given |= {f"memberships-{number}-{name}": value for name, value in row.items()}
        answer = client.post(reverse("admin:users_app_workspace_change", args=[workspace.pk]), given)
        assert answer.status_code == 302, answer.context["errors"]

    def test_a_superuser_makes_a_member(self, root, workspace, rita):
        self.change(root, workspace, {"user": rita.pk, "role": "viewer"})
        assert changes(workspace) == [("root", None, "viewer")]

    def test_a_workspaces_admin_changes_a_role_and_takes_a_member_out(self, workspace_admin, workspace, rita):
        held = give(workspace, rita, "viewer")
        mine = Membership.objects.get(workspace=workspace, role="admin")
        own = {"id": mine.pk, "role": "admin"}
        self.change(workspace_admin, workspace, own, {"id": held.pk, "role": "researcher"})
        self.change(workspace_admin, workspace, own, {"id": held.pk, "role": "researcher", "DELETE": "on"})
        admin = mine.user.username
        assert changes(workspace)[1:] == [(admin, "viewer", "researcher"), (admin, "researcher", None)]
        assert len(changes(workspace, of=admin)) == 1

    def test_a_row_given_to_somebody_else_ends_one_membership_and_begins_another(self, root, workspace, rita):
        held = give(workspace, rita, "viewer")
        other = get_user_model().objects.create_user("olaf")
        self.change(root, workspace, {"id": held.pk, "user": other.pk, "role": "viewer"})
        assert changes(workspace)[1:] == [("root", "viewer", None)]
        assert changes(workspace, of="olaf") == [("root", None, "viewer")]
        assert list(Membership.objects.values_list("user__username", "role")) == [("olaf", "viewer")]

    def test_a_member_is_made_on_the_page_of_their_account_too(self, root, workspace, rita):
        rows = {"TOTAL_FORMS": 1, "INITIAL_FORMS": 0, "0-workspace": workspace.pk, "0-role": "viewer"}
        given = {"username": "rita", "is_active": "on", "date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
        given |= {f"memberships-{name}": value for name, value in rows.items()}
        answer = root.post(reverse("admin:auth_user_change", args=[rita.pk]), given)
        assert answer.status_code == 302, answer.context["errors"]
        assert changes(workspace) == [("root", None, "viewer")]

    @pytest.mark.parametrize("together", [False, True])
    def test_an_account_that_is_deleted_is_a_member_no_more(self, root, workspace, rita, together):
        give(workspace, rita, "researcher")
        if together:
            asked = {"action": "delete_selected", "_selected_action": [rita.pk], "post": "yes"}
            root.post(reverse("admin:auth_user_changelist"), asked)
        else:
            root.post(reverse("admin:auth_user_delete", args=[rita.pk]), {"post": "yes"})
        assert not get_user_model().objects.filter(username="rita").exists()
        assert changes(workspace)[1:] == [("root", "researcher", None)]
