"""The audit log: what is done leaves an entry if and only if it is done, and entries stay as they are."""

import getpass
import io
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.urls import reverse
from django.utils import timezone

from eval_app.import_requests import ImportRefused, request_import
from eval_app.kinds import IMPORT_DATASET
from jobs import sweeps
from jobs.models import Job
from jobs.services import sweep
from tests import people
from tests.lamp.lamp_files import tweet_question, write
from tests.people import TWEETS
from tests.webhooks import webhook
from tests.whereabouts import rows_of, traces
from users_app import erasers
from users_app.api_keys import KeyRefused, create_api_key, revoke_api_key
from users_app.audit import INSTALLATION, Actor, forget_old_entries, record
from users_app.erasure import erase_document, erase_end_user
from users_app.exporting import export_end_user
from users_app.models import ApiKey, AuditEntry, EndUser, ErasureReceipt, WebhookEndpoint
from users_app.webhooks import change_webhook, delete_webhook, rotate_secret

REQUEST = "0f8fad5b-d9cb-469f-a165-70867728950e"
SOMEBODY = Actor(kind=AuditEntry.ActorKind.COMMAND, name="somebody")


def entries(**asked):
    return list(AuditEntry.objects.filter(**asked).order_by("pk"))


def export(end_user, **told):
    return export_end_user(workspace=end_user.workspace, end_user=end_user, **told)


@pytest.fixture
def aged(workspace):
    """Make entries of so many days ago."""

    def aged(*days):
        return [
            AuditEntry.objects.create(
                workspace=workspace,
                action="quota.changed",
                actor="installation",
                at=timezone.now() - timedelta(days=ago),
                subject=str(ago),
            )
            for ago in days
        ]

    return aged


class TestExports:
    def test_say_whose_data_was_asked_for_and_by_whom(self, alice):
        export(alice, by=SOMEBODY)
        [entry] = entries()
        assert (entry.action, entry.actor, entry.actor_name) == ("end_user.exported", "command", "somebody")
        assert (entry.workspace, entry.end_user, entry.subject) == (alice.workspace, alice, "")

    def test_are_recorded_before_anything_is_read(self, alice):
        archive = export(alice)
        assert len(entries()) == 1
        next(archive)
        assert len(entries()) == 1

    def test_of_who_was_erased_are_refused_and_not_recorded(self, alice):
        EndUser.objects.filter(pk=alice.pk).delete()
        with pytest.raises(EndUser.DoesNotExist):
            export(alice)
        assert entries() == []

    def test_through_another_workspace_are_refused_and_not_recorded(self, alice, mallory):
        with pytest.raises(EndUser.DoesNotExist):
            export_end_user(workspace=mallory.workspace, end_user=alice)
        assert entries() == []


class TestErasures:
    def test_name_the_receipt_and_nobody(self, alice):
        receipt = erase_end_user(workspace=alice.workspace, end_user=alice, by=SOMEBODY)
        [entry] = entries()
        assert (entry.action, entry.subject, entry.end_user) == ("end_user.erased", str(receipt.pk), None)
        assert (entry.actor_name, entry.details) == ("somebody", {})

    def test_of_documents_are_recorded_alike(self, alice):
        receipt = erase_document(
            workspace=alice.workspace, end_user=alice, task=TWEETS, client_id="alice-1", by=SOMEBODY
        )
        [entry] = entries()
        assert (entry.action, entry.subject, entry.end_user) == ("document.erased", str(receipt.pk), None)

    def test_take_the_person_out_of_earlier_entries_and_leave_others_as_they_are(self, alice, bob):
        export(alice, by=SOMEBODY), export(bob, by=SOMEBODY)
        before = rows_of(bob)
        assert "users_app_auditentry.end_user_id" in before
        erase_end_user(workspace=alice.workspace, end_user=alice)
        assert rows_of(bob) == before
        assert traces(end_user_id=alice.pk, words=["alice"]) == []
        assert [(entry.action, entry.end_user) for entry in entries()] == [
            ("end_user.exported", None),
            ("end_user.exported", bob),
            ("end_user.erased", None),
        ]

    @pytest.mark.django_db(transaction=True)
    def test_that_fail_leave_no_entry(self, alice, monkeypatch):
        def fails(erasing):
            raise RuntimeError("on purpose")

        failing = erasers.Eraser(name="failing", models=(), end_user=fails)
        monkeypatch.setitem(erasers._erasers, "failing", failing)
        with pytest.raises(RuntimeError):
            erase_end_user(workspace=alice.workspace, end_user=alice)
        assert entries() == []

    @pytest.mark.django_db(transaction=True)
    def test_do_not_happen_where_they_cannot_be_recorded(self, alice, monkeypatch):
        def fails(**_):
            raise RuntimeError("on purpose")

        monkeypatch.setattr("users_app.erasure.record", fails)
        with pytest.raises(RuntimeError):
            erase_end_user(workspace=alice.workspace, end_user=alice)
        assert EndUser.objects.filter(pk=alice.pk).exists()
        assert not ErasureReceipt.objects.exists()


class TestKeys:
    def test_are_recorded_by_their_prefix_when_made_and_revoked(self, workspace):
        issued = create_api_key(workspace=workspace, name="ci", scopes=["train", "read"], by=SOMEBODY)
        assert revoke_api_key(key=issued.key, by=SOMEBODY)
        made, revoked = entries()
        assert (made.action, made.subject) == ("api_key.created", issued.key.prefix)
        assert made.details == {"name": "ci", "scopes": ["train", "read"]}
        assert (revoked.action, revoked.subject) == ("api_key.revoked", issued.key.prefix)
        assert issued.token.rpartition("_")[2] not in str([vars(entry) for entry in entries()])

    def test_that_are_refused_or_were_revoked_before_are_not_recorded(self, workspace):
        with pytest.raises(KeyRefused):
            create_api_key(workspace=workspace, name="ci", scopes=["everything"])
        issued = create_api_key(workspace=workspace, name="ci", scopes=["read"])
        assert [revoke_api_key(key=issued.key) for _ in range(2)] == [True, False]
        assert [entry.action for entry in entries()] == ["api_key.created", "api_key.revoked"]

    def test_made_in_the_admin_name_the_member_of_staff(self, client, workspace):
        root = get_user_model().objects.create_superuser("root", password="pw")
        client.force_login(root)
        given = {"workspace": workspace.pk, "name": "ci", "scopes": ["read"]}
        client.post(reverse("admin:users_app_apikey_add"), given, headers={"X-Request-Id": REQUEST})
        key = ApiKey.objects.get()
        client.post(
            reverse("admin:users_app_apikey_changelist"), {"action": "revoke_keys", "_selected_action": [key.pk]}
        )
        made, revoked = entries()
        assert (made.actor, made.actor_name, made.staff_id, made.request_id) == ("staff", "root", root.pk, REQUEST)
        assert (revoked.action, revoked.actor, revoked.staff_id) == ("api_key.revoked", "staff", root.pk)


@pytest.mark.usefixtures("sources_deleted")
class TestImports:
    def test_are_recorded_with_their_job_when_they_are_asked_for(self, workspace, tmp_path):
        questions = write(tmp_path / "secret-name.json", [tweet_question("1")])
        job = request_import(workspace=workspace, dataset="tweets", split="dev", questions=questions, by=SOMEBODY)
        [entry] = entries()
        assert (entry.action, entry.subject) == ("import.started", "tweets/dev")
        assert entry.details == {"job_id": job.pk}
        assert entry.actor_name == "somebody"

    def test_that_are_refused_are_not(self, workspace, tmp_path):
        questions = write(tmp_path / "questions.json", [tweet_question("1")])
        with pytest.raises(ImportRefused):
            request_import(workspace=workspace, dataset="no/name", split="dev", questions=questions)
        assert entries() == []

    @pytest.mark.django_db(transaction=True)
    def test_do_not_happen_where_they_cannot_be_recorded(self, workspace, tmp_path, monkeypatch):
        def fails(**_):
            raise RuntimeError("on purpose")

        monkeypatch.setattr("eval_app.import_requests.record", fails)
        questions = write(tmp_path / "questions.json", [tweet_question("1")])
        with pytest.raises(RuntimeError):
            request_import(workspace=workspace, dataset="tweets", split="dev", questions=questions)
        assert not Job.objects.filter(kind=IMPORT_DATASET.name).exists()


class TestCommands:
    """`manage.py`: who ran it, as the operating system knows them."""

    def test_name_who_ran_them(self, alice, bob, tmp_path, monkeypatch):
        monkeypatch.setenv("LOGNAME", "somebody-else")
        call_command("create_api_key", "--workspace", "acme", "--name", "ci", "--scopes", "read", stdout=io.StringIO(),
                     stderr=io.StringIO())  # fmt: skip
        call_command("export_end_user", "--workspace", "acme", "--id", "bob", "--out", str(tmp_path / "bob.zip"),
                     stdout=io.StringIO())  # fmt: skip
        call_command("erase_end_user", "--workspace", "acme", "--id", "alice", "--yes", stdout=io.StringIO())
        assert [entry.action for entry in entries()] == ["api_key.created", "end_user.exported", "end_user.erased"]
        assert {entry.actor for entry in entries()} == {"command"}
        monkeypatch.delenv("LOGNAME")
        for name in ("USER", "LNAME", "USERNAME"):
            monkeypatch.delenv(name, raising=False)
        assert {entry.actor_name for entry in entries()} == {getpass.getuser()}


class TestEntries:
    def change(self, **changes):
        with transaction.atomic():
            return AuditEntry.objects.update(**changes)

    def test_are_not_changed(self, alice, bob):
        export(alice)
        for changes in ({"subject": "x"}, {"actor_name": "x"}, {"end_user": bob}, {"end_user": None, "subject": "x"}):
            with pytest.raises(IntegrityError, match="neither changed nor deleted"):
                self.change(**changes)
        [entry] = entries()
        assert (entry.subject, entry.end_user) == ("", alice)

    def test_forget_a_person_and_remember_nobody_in_their_place(self, alice, bob):
        export(alice)
        assert self.change(end_user=None) == 1
        with pytest.raises(IntegrityError):
            self.change(end_user=bob)

    def test_are_not_deleted(self, alice):
        export(alice)
        with pytest.raises(IntegrityError, match="neither changed nor deleted"), transaction.atomic():
            AuditEntry.objects.all().delete()
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("DELETE FROM users_app_auditentry")
        assert len(entries()) == 1

    def test_go_with_their_workspace_and_with_no_other(self, alice, mallory):
        export(alice), export(mallory)
        alice.workspace.delete()
        assert [entry.workspace for entry in entries()] == [mallory.workspace]

    def test_have_an_action_and_an_actor_that_are_known(self, workspace):
        for wrong in ({"action": "something.else"}, {"actor": "nobody"}, {"actor": "api_key"}, {"staff_id": 1}):
            values = {"workspace": workspace, "action": "quota.changed", "actor": "command", **wrong}
            with pytest.raises(IntegrityError), transaction.atomic():
                AuditEntry.objects.create(**values)

    def test_take_long_names(self, workspace):
        long = Actor(kind=AuditEntry.ActorKind.COMMAND, name="x" * 1_000)
        assert len(record(workspace=workspace, action=AuditEntry.Action.QUOTA_CHANGED, by=long).actor_name) == 150

    def test_are_looked_at_in_the_admin_and_nothing_more(self, client, alice):
        client.force_login(get_user_model().objects.create_superuser("root", password="pw"))
        export(alice)
        [entry] = entries()
        assert client.get(reverse("admin:users_app_auditentry_changelist")).status_code == 200
        page = client.get(reverse("admin:users_app_auditentry_change", args=[entry.pk]))
        assert page.status_code == 200
        assert "alice" not in page.content.decode()
        assert client.get(reverse("admin:users_app_auditentry_add")).status_code == 403
        assert client.post(reverse("admin:users_app_auditentry_delete", args=[entry.pk])).status_code == 403


class TestRetention:
    def test_is_for_ever_unless_it_is_set(self, aged):
        aged(1, 10_000)
        assert forget_old_entries() == 0
        assert len(entries()) == 2

    def test_deletes_what_is_older_and_nothing_else(self, aged, settings, monkeypatch):
        settings.AUDIT_RETENTION_DAYS = 365
        monkeypatch.setattr("users_app.audit._CHUNK", 2)
        aged(1, 364, 366, 367, 368, 400, 1_000)
        assert forget_old_entries() == 5
        assert [entry.subject for entry in entries()] == ["1", "364"]

    def test_is_kept_by_the_sweep(self, aged, settings, monkeypatch):
        settings.AUDIT_RETENTION_DAYS = 365
        monkeypatch.setattr(sweeps, "_due_at", {})
        aged(1, 1_000)
        sweep()
        assert [entry.subject for entry in entries()] == ["1"]

    def test_lets_nobody_else_delete_afterwards(self, aged, settings):
        settings.AUDIT_RETENTION_DAYS = 365
        aged(1, 1_000)
        forget_old_entries()
        with pytest.raises(IntegrityError), transaction.atomic():
            AuditEntry.objects.all().delete()


def test_who_is_not_told_is_the_installation(alice):
    people.person(alice.workspace, "carol")
    erase_end_user(workspace=alice.workspace, end_user=alice)
    [entry] = entries()
    assert (entry.actor, entry.actor_name) == (INSTALLATION.kind, "")


class TestWebhooks:
    """By them what happens in a workspace leaves it."""

    def test_say_where_they_lead_and_not_more_of_the_url(self, workspace):
        made = webhook(workspace, "https://hooks.example.com:8443/T0/secret?token=x", by=SOMEBODY)
        [entry] = entries()
        assert (entry.action, entry.subject, entry.actor_name) == ("webhook.created", str(made.pk), "somebody")
        assert entry.details == {
            "to": "https://hooks.example.com:8443",
            "event_types": ["generation.finished", "job.finished"],
        }

    @pytest.mark.parametrize(
        ("changes", "changed"),
        [
            ({"url": "https://else.example.com/"}, ["url"]),
            ({"event_types": ["job.finished"], "enabled": False}, ["event_types", "enabled"]),
        ],
    )
    def test_that_are_changed_say_what_was(self, workspace, changes, changed):
        made = webhook(workspace, "https://hooks.example.com/")
        change_webhook(endpoint=made, changes=changes, by=SOMEBODY)
        [entry] = entries(action="webhook.changed")
        assert (entry.subject, entry.actor_name, entry.details["changed"]) == (str(made.pk), "somebody", changed)
        assert entry.details["to"] == made.url.rstrip("/")
        assert (entry.details["event_types"], entry.details["enabled"]) == (
            made.event_types,
            made.disabled_at is None,
        )

    def test_that_stay_as_they_are_leave_no_entry(self, workspace):
        made = webhook(workspace, "https://hooks.example.com/")
        change_webhook(endpoint=made, changes={"url": made.url, "event_types": made.event_types, "enabled": True})
        assert entries(action="webhook.changed") == []

    def test_with_a_new_secret_say_so_and_not_which(self, workspace):
        made = webhook(workspace, "https://hooks.example.com/")
        rotate_secret(endpoint=made, by=SOMEBODY)
        [entry] = entries(action="webhook.changed")
        assert (entry.subject, entry.details) == (
            str(made.pk),
            {"to": "https://hooks.example.com", "changed": ["secret"]},
        )

    def test_that_are_deleted_are_recorded_once(self, workspace):
        made = webhook(workspace, "https://hooks.example.com/")
        for _ in range(2):
            delete_webhook(endpoint=made, by=SOMEBODY)
        [entry] = entries(action="webhook.deleted")
        assert (entry.subject, entry.actor_name) == (str(made.pk), "somebody")

    def test_whose_url_would_not_be_taken_today_are_deleted_all_the_same(self, workspace):
        made = webhook(workspace, "https://hooks.example.com/")
        WebhookEndpoint.objects.update(url="https://somebody:secret@hooks.example.com/")
        made.refresh_from_db()
        delete_webhook(endpoint=made)
        assert [entry.details["to"] for entry in entries(action="webhook.deleted")] == [""]

    def test_that_are_gone_are_not_changed(self, workspace):
        made = webhook(workspace, "https://hooks.example.com/")
        delete_webhook(endpoint=made)
        change_webhook(endpoint=made, changes={"url": "https://else.example.com/"})
        assert entries(action="webhook.changed") == []
