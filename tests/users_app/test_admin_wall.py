"""The admin shows staff the rows of their workspaces and no other: every model, its list, its search and its page.

The models are those that are registered, so a new one is covered as it is added.
"""

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from common.workspace_access import workspace_lookup
from eval_app.models import Question
from jobs.models import Job, Worker
from jobs.services import JobSpec, cancel, enqueue
from retrieval_app.models import Embedding
from tests import people
from tests.everything import one_of_everything
from tests.lamp.own_tasks import REPLIES
from tests.routes import leads_to_workspace, rows_of
from tests.training_app.generations import asked
from training_app.models import Adapter, Generation
from users_app.api_keys import create_api_key
from users_app.models import ApiKey, Document, Membership, Workspace
from users_app.services import set_role

pytestmark = pytest.mark.django_db

MOST_QUERIES = 30


@pytest.fixture
def acme(workspace, alice, bob, dev, api_key):
    api_key()
    return one_of_everything(workspace=workspace, alice=alice, dev=dev)


@pytest.fixture
def texts():
    """What no page of the admin shows to anybody."""
    written = [entry["text"] for entry in [*people.OF_ALICE, *people.OF_BOB]]
    return [*written, people.ASK, "my bike loves the muddy trail"]


@pytest.fixture
def log_in():
    def log_in(workspace=None, role=Membership.Role.ADMIN, **fields):
        user = get_user_model().objects.create_user(f"{role}-of-{workspace}", is_staff=True, **fields)
        if workspace is not None:
            set_role(workspace=workspace, user_id=user.pk, role=role)
        client = Client()
        client.force_login(user)
        return client

    return log_in


def registered():
    return sorted(admin.site._registry, key=lambda model: model._meta.label)


def of_workspaces():
    return [model for model in registered() if workspace_lookup(model)]


def address(model, page, *args):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def told(answer, texts):
    page = answer.content.decode()
    return [text for text in texts if text in page]


def listed(answer):
    return [row.pk for row in answer.context["cl"].result_list]


def test_every_model_of_ours_is_registered():
    ours = {"common", "jobs", "users_app", "retrieval_app", "training_app", "eval_app", "django_celery_beat"}
    # The one row that says when schedules were changed, and numbers, which are read at /metrics.
    absent = {m._meta.label for m in apps.get_models() if m._meta.app_label in ours} - {
        m._meta.label for m in registered()
    }
    assert absent == {"django_celery_beat.PeriodicTasks", "users_app.Membership", "common.CountedSample"}


def test_a_model_leads_to_its_workspace_as_the_tests_find_it():
    assert {model for model in registered() if leads_to_workspace(model)} == set(of_workspaces())
    assert len(of_workspaces()) > 20


def test_superusers_see_everything_but_texts(acme, log_in, texts):
    Worker.objects.create(hostname="gpu-7", pid=1, queues=["model"])
    superuser = log_in(is_superuser=True)
    wrong = []
    for model in registered():
        page = superuser.get(address(model, "changelist"))
        if page.status_code != 200 or told(page, texts):
            wrong.append((model._meta.label, "list", page.status_code))
        row = model._default_manager.order_by("pk").first()
        if row is not None:
            page = superuser.get(address(model, "change", row.pk))
            if page.status_code != 200 or told(page, texts):
                wrong.append((model._meta.label, "page", page.status_code))
    assert wrong == []


def test_members_see_their_own_rows_in_lists_and_pages(acme, mallory, log_in, texts):
    member = log_in(acme, Membership.Role.VIEWER)
    wrong = []
    for model in of_workspaces():
        own = set(rows_of(model, acme).values_list("pk", flat=True))
        page = member.get(address(model, "changelist"))
        if page.status_code != 200 or set(listed(page)) != own or told(page, ["elsewhere", *texts]):
            wrong.append((model._meta.label, "list"))
        for pk in sorted(own)[:1]:
            page = member.get(address(model, "change", pk))
            if page.status_code != 200 or told(page, ["elsewhere", *texts]):
                wrong.append((model._meta.label, "page", page.status_code))
    assert wrong == []


def test_staff_of_another_workspace_see_nothing_of_it(acme, mallory, log_in, texts):
    stranger = log_in(mallory.workspace)
    wrong = []
    for model in of_workspaces():
        theirs = set(rows_of(model, acme).values_list("pk", flat=True))
        page = stranger.get(address(model, "changelist"))
        # Filters' choices are on the page too.
        if (
            page.status_code != 200
            or theirs & set(listed(page))
            or told(page, ["acme", "alice", REPLIES["key"], *texts])
        ):
            wrong.append((model._meta.label, "list"))
        for pk in sorted(theirs)[:1]:
            for name in ("change", "history", "delete"):
                page = stranger.get(address(model, name, pk))
                if page.status_code not in (302, 403) or told(page, ["acme", "alice", *texts]):
                    wrong.append((model._meta.label, name, page.status_code))
            if stranger.post(address(model, "change", pk), {}).status_code not in (302, 403):
                wrong.append((model._meta.label, "posted"))
    assert wrong == []


def test_search_finds_nothing_of_another_workspace(acme, mallory, log_in):
    stranger, superuser = log_in(mallory.workspace), log_in(is_superuser=True)
    wrong, searched = [], 0
    for model in of_workspaces():
        theirs = set(rows_of(model, acme).values_list("pk", flat=True))
        for term in {"acme", "alice", "tweets", "first", *map(str, sorted(theirs)[:1])}:
            page = stranger.get(address(model, "changelist"), {"q": term})
            if page.status_code != 200 or theirs & set(listed(page)):
                wrong.append((model._meta.label, term))
            searched += bool(theirs & set(listed(superuser.get(address(model, "changelist"), {"q": term}))))
    assert wrong == []
    assert searched > 20


def test_choices_of_forms_are_of_ones_own_workspaces(acme, mallory, log_in):
    for one, offered in ((mallory.workspace, ["elsewhere"]), (acme, ["acme"])):
        answer = log_in(one).get(
            "/admin/autocomplete/", {"app_label": "users_app", "model_name": "apikey", "field_name": "workspace"}
        )
        assert [row["text"] for row in answer.json()["results"]] == offered


def test_what_is_the_installations_is_for_superusers(acme, log_in):
    member = log_in(acme)
    assert {
        member.get(address(model, "changelist")).status_code for model in set(registered()) - set(of_workspaces())
    } == {403}
    index = member.get("/admin/").content.decode()
    assert "API keys" in index
    assert "Workers" not in index


def test_staff_without_a_workspace_see_nothing(acme, log_in):
    nobody = log_in()
    assert {nobody.get(address(model, "changelist")).status_code for model in registered()} == {403}


@pytest.mark.parametrize("role", [Membership.Role.VIEWER, Membership.Role.RESEARCHER])
def test_only_admins_make_keys_and_change_members(acme, log_in, role):
    member = log_in(acme, role)
    assert member.get(address(ApiKey, "add")).status_code == 403
    assert member.post(address(Workspace, "change", acme.pk), {"name": "mine"}).status_code == 403
    key = ApiKey.objects.get()
    member.post(address(ApiKey, "changelist"), {"action": "revoke_keys", "_selected_action": [key.pk]})
    assert ApiKey.objects.get().revoked_at is None


def test_an_admin_of_a_workspace_makes_keys_for_no_other(acme, mallory, log_in):
    given = {"name": "mine", "scopes": ["read"], "workspace": acme.pk}
    assert log_in(mallory.workspace).post(address(ApiKey, "add"), given).status_code == 200
    assert not ApiKey.objects.filter(name="mine").exists()


def test_who_is_admin_of_one_and_viewer_of_another_changes_the_one(acme, mallory, log_in):
    """An action is on the page for the one workspace's sake, and leaves the other's rows alone."""

    both = log_in(acme)
    user = get_user_model().objects.get()
    set_role(workspace=mallory.workspace, user_id=user.pk, role=Membership.Role.VIEWER)
    theirs = create_api_key(workspace=mallory.workspace, name="theirs", scopes=["read"]).key
    both.post(
        address(ApiKey, "changelist"),
        {"action": "revoke_keys", "_selected_action": list(ApiKey.objects.values_list("pk", flat=True))},
    )
    assert list(ApiKey.objects.filter(revoked_at=None)) == [theirs]


def test_quotas_and_the_address_are_not_a_members_to_change(acme, log_in):
    given = {"slug": "other", "name": "Acme Inc.", "shared_training": "agreed", "quota_documents": "7"}
    given |= {f"memberships-{name}": 0 for name in ("TOTAL_FORMS", "INITIAL_FORMS")}
    assert log_in(acme).post(address(Workspace, "change", acme.pk), given).status_code == 302
    acme.refresh_from_db()
    assert (acme.slug, acme.name, acme.quota_documents) == ("acme", "Acme Inc.", None)


def test_a_column_that_no_page_shows_cannot_be_guessed_by_a_filter(acme, log_in):
    member = log_in(acme)
    for model, lookup in ((Question, "input__startswith"), (Document, "fields__text__startswith")):
        assert member.get(address(model, "changelist"), {lookup: "a"}).status_code == 400


def test_no_filter_leads_further_than_its_own_links(acme, log_in):
    """From a relation one could go back to what others have written, or to a password."""
    member = log_in(acme)
    wrong = []
    for model in of_workspaces():
        list_filter = admin.site._registry[model].list_filter
        for name in [one for one in list_filter if isinstance(one, str)]:
            wrong += [
                (model._meta.label, name + further)
                for further in ("__startswith", "__in", "__pk__in", "__created_at__year")
                if member.get(address(model, "changelist"), {name + further: "1"}).status_code != 400
            ]
    for model, lookup in (
        (Workspace, "memberships__user__password__startswith"),
        (ApiKey, "workspace__memberships__user__password__startswith"),
        (ApiKey, "workspace__end_users__documents__fields__text__startswith"),
        (Adapter, "base_model__generations__input__icontains"),
        (Embedding, "encoder__embeddings__document__fields__text__startswith"),
    ):
        if member.get(address(model, "changelist"), {lookup: "p"}).status_code != 400:
            wrong.append((model._meta.label, lookup))
    assert wrong == []


def test_each_filter_s_own_links_work(acme, log_in):
    member = log_in(acme)
    wrong = []
    for model in of_workspaces():
        page = member.get(address(model, "changelist"))
        for spec in page.context["cl"].filter_specs:
            for choice in list(spec.choices(page.context["cl"]))[:3]:
                status = member.get(address(model, "changelist") + choice["query_string"]).status_code
                if status != 200:
                    wrong.append((model._meta.label, choice["query_string"], status))
    assert wrong == []


def test_a_researcher_does_not_set_a_deletion_going_again(acme, log_in):
    job = enqueue(JobSpec(kind="delete_dataset", workspace_id=acme.pk, payload={"dataset_id": 1}))
    cancel(job.pk)
    for role, state in ((Membership.Role.RESEARCHER, "cancelled"), (Membership.Role.ADMIN, "waiting")):
        client = log_in(acme, role=role)
        client.post(address(Job, "changelist"), {"action": "retry_jobs", "_selected_action": [job.pk]})
        assert Job.objects.get(pk=job.pk).state == state


def test_a_query_string_does_not_change_the_order(acme, log_in):
    member = log_in(acme)
    for column in ("1", "-2", "3.1"):
        page = member.get(address(Document, "changelist"), {"o": column})
        assert set(page.context["cl"].queryset.query.order_by) == {"-pk"}


def test_a_search_for_what_no_text_holds_finds_nothing(acme, log_in):
    found = log_in(acme).get(
        reverse("admin:autocomplete"),
        {"app_label": "users_app", "model_name": "apikey", "field_name": "workspace", "term": "\0"},
    )
    assert (found.status_code, found.json()["results"]) == (200, [])


def test_no_list_counts_a_whole_table_or_looks_for_its_choices_there(acme, log_in):
    superuser = log_in(is_superuser=True)
    wrong = []
    for model in of_workspaces():
        with CaptureQueriesContext(connection) as queries:
            superuser.get(address(model, "changelist"), {"_facets": "True"})
        table = model._meta.db_table
        for query in queries:
            sql = query["sql"].upper()
            unbounded = "COUNT(" in sql and "LIMIT 10000" not in sql
            if f'"{table}"'.upper() in sql and (unbounded or "SELECT DISTINCT" in sql):
                wrong.append((model._meta.label, query["sql"][:200]))
        if len(queries) > MOST_QUERIES:
            wrong.append((model._meta.label, len(queries)))
    assert wrong == []


def test_a_long_list_takes_no_more_queries_than_a_short_one(acme, alice, log_in):
    superuser = log_in(is_superuser=True)

    def queries():
        with CaptureQueriesContext(connection) as found:
            superuser.get(address(Generation, "changelist"))
        return len(found)

    before = queries()
    for _ in range(5):
        asked(alice)
    assert queries() == before
