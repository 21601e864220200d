"""The sidebar of the admin: every list is in it, and of nothing that whoever looks may not see."""

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.urls import reverse

from common.navigation import destinations
from tests import people
from users_app.models import Membership
from users_app.services import set_role

pytestmark = pytest.mark.django_db

# They are reached from the task that uses them.
NOT_IN_IT = {"CrontabSchedule", "ClockedSchedule", "IntervalSchedule", "SolarSchedule"}


def links(client):
    groups = client.get("/admin/").context["sidebar_navigation"]
    return [item["link"] for group in groups for item in group["items"]]


def test_superusers_find_every_list(client, workspace):
    client.force_login(get_user_model().objects.create_superuser("root"))
    lists = {
        reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        for model in admin.site._registry
        if model.__name__ not in NOT_IN_IT
    }
    found = links(client)
    assert lists <= set(found)
    assert len(found) == len(set(found))
    assert {client.get(link).status_code for link in found} == {200}


def test_members_find_what_they_may_see_and_the_pages(client, workspace):
    member = get_user_model().objects.create_user("member", is_staff=True)
    set_role(workspace=workspace, user_id=member.pk, role=Membership.Role.VIEWER)
    client.force_login(member)
    found = links(client)
    assert {client.get(link).status_code for link in found} == {200}
    assert {reverse(page.name, args=["acme"]) for page in destinations()} <= set(found)


def test_a_workspace_s_name_is_text(client, workspace):
    client.force_login(get_user_model().objects.create_superuser("root"))
    for name in ("<b>acme</b>", "<i>other</i>"):
        workspace.name = name
        workspace.save()
        assert name not in client.get("/admin/").content.decode()
        people.workspace("second")
