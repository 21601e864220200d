"""The page that asks whether a dataset is to be deleted, and shows how far that is."""

import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse

from eval_app.models import Dataset
from jobs.models import Job
from tests.eval_app.stored import a_base_model, answered_run, ended, start
from users_app.models import AuditEntry, Membership
from users_app.services import set_role

pytestmark = pytest.mark.django_db


@pytest.fixture
def browse(client, workspace):
    """Log in as a member with this role."""

    def browse(role=Membership.Role.ADMIN):
        user = get_user_model().objects.create_user(f"a-{role}", is_staff=True)
        set_role(workspace=workspace, user_id=user.pk, role=role)
        client.force_login(user)
        return client

    return browse


def address(dataset):
    return reverse("dataset-delete", args=[dataset.workspace.slug, dataset.pk])


def test_it_says_what_would_go(browse, dev):
    ended(dev, {"none": answered_run(dev, ["a", "b", "c"])}, name="a <b> test")
    page = browse().get(address(dev.dataset)).content.decode()
    assert "1 split with 3 questions" in page
    assert "1 experiment (a &lt;b&gt; test)" in page
    assert "1 run with up to 3 predictions" in page
    assert Dataset.objects.get().deletion_requested_at is None


def test_typing_its_name_deletes_it(browse, dev, in_process):
    member = browse()
    answer = member.post(address(dev.dataset), {"name": "tweets"}, follow=True)
    assert "is being deleted" in answer.content.decode()
    assert 'hx-trigger="every 2s"' in answer.content.decode()
    assert AuditEntry.objects.get(action="dataset.deleted").actor_name == "a-admin"
    in_process("delete_dataset")
    assert not Dataset.objects.exists()
    gone = member.get(address(dev.dataset))
    assert "The dataset is deleted" in gone.content.decode()
    assert "hx-trigger" not in gone.content.decode()


@pytest.mark.parametrize("typed", [{}, {"name": ""}, {"name": "another"}])
def test_another_name_deletes_nothing(browse, dev, typed):
    answer = browse().post(address(dev.dataset), typed, follow=True)
    assert "Nothing was deleted" in answer.content.decode()
    assert not Job.objects.exists()


def test_while_it_is_in_use_the_reason_is_told(browse, dev):
    start(dev, methods="none", base_model=a_base_model())
    member = browse()
    page = member.get(address(dev.dataset)).content.decode()
    assert "Experiment “first” of this dataset is under way" in page
    assert 'name="name"' not in page
    member.post(address(dev.dataset), {"name": "tweets"})
    assert Dataset.objects.get().deletion_requested_at is None


def test_a_researcher_reads_and_deletes_nothing(browse, dev):
    member = browse(Membership.Role.RESEARCHER)
    page = member.get(address(dev.dataset))
    assert (page.status_code, 'name="name"' in page.content.decode()) == (200, False)
    assert member.post(address(dev.dataset), {"name": "tweets"}).status_code == 403


def test_the_admin_leads_there(browse, dev):
    member = browse()
    page = member.get(reverse("admin:eval_app_dataset_change", args=[dev.dataset_id])).content.decode()
    assert "Delete with everything" in page
    leads = member.get(reverse("admin:eval_app_dataset_delete_dataset", args=[dev.dataset_id]))
    assert leads.headers["Location"] == address(dev.dataset)


def test_the_admin_leads_a_stranger_nowhere(client, dev, mallory):
    user = get_user_model().objects.create_user("stranger", is_staff=True)
    set_role(workspace=mallory.workspace, user_id=user.pk, role=Membership.Role.ADMIN)
    client.force_login(user)
    leads = client.get(reverse("admin:eval_app_dataset_delete_dataset", args=[dev.dataset_id]))
    assert leads.status_code == 403 or "acme" not in leads.headers["Location"]
