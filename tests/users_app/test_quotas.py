"""Quotas: whose limit holds, what is refused, and that those who come together do not go beyond."""

import io
import threading
import time

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from eval_app.import_requests import request_import
from jobs.models import Job
from jobs.runner import run_waiting
from tests.lamp.lamp_files import tweet_question, write
from tests.locks import somebody_waits
from tests.people import TWEETS, person
from tests.usage import counted, summed
from users_app.models import AuditEntry, Document, Quota, Workspace
from users_app.profiles import NewDocument, put_documents
from users_app.quotas import QuotaExceeded, Room, limit_of, set_quotas, standings


def put(end_user, *texts):
    documents = [NewDocument(TWEETS, f"x{at}", {"text": text}) for at, text in enumerate(texts)]
    return put_documents(workspace=end_user.workspace, end_user=end_user, documents=documents)


def limit(workspace, **limits):
    set_quotas(workspace=workspace, limits={Quota(name): value for name, value in limits.items()})


class TestLimits:
    def test_are_none_unless_somebody_sets_one(self, workspace):
        assert {one.limit for one in standings(workspace=workspace)} == {None}

    def test_are_the_installations_where_the_workspace_has_none(self, workspace, settings):
        settings.QUOTA_DOCUMENTS = 10
        assert limit_of(workspace=workspace, quota=Quota.DOCUMENTS) == 10
        limit(workspace, documents=7)
        assert limit_of(workspace=workspace, quota=Quota.DOCUMENTS) == 7
        limit(workspace, documents=None)
        assert limit_of(workspace=workspace, quota=Quota.DOCUMENTS) == 10

    def test_of_nothing_are_limits_too(self, alice, settings):
        settings.QUOTA_DOCUMENTS = 1_000
        limit(alice.workspace, documents=0)
        with pytest.raises(QuotaExceeded):
            put(alice, "one more")

    def test_that_do_not_change_are_not_recorded(self, workspace):
        limit(workspace, documents=7, bytes=None)
        limit(workspace, documents=7)
        [entry] = AuditEntry.objects.filter(action="quota.changed")
        assert (entry.subject, entry.details) == ("documents", {"from": None, "to": 7})

    def test_cost_nothing_where_there_are_none(self, alice, django_assert_num_queries):
        with django_assert_num_queries(0):
            room = Room(workspace=alice.workspace, quotas=list(Quota))
            room.look()
            room.hold()
            room.require(adding={Quota.GENERATIONS_A_DAY: 10**9})


class TestDocuments:
    def test_may_be_as_many_as_the_limit_says(self, alice):
        limit(alice.workspace, documents=7)
        put(alice, "one", "two")
        with pytest.raises(QuotaExceeded) as refused:
            put(alice, "one", "two", "three")
        assert (refused.value.status, refused.value.slug) == (403, "quota-exceeded")
        assert refused.value.extra == {"quota": "documents", "limit": 7, "used": 7}
        assert counted(alice.workspace)["documents"] == 7 == summed(alice.workspace)["documents"]

    def test_are_refused_whole(self, alice):
        limit(alice.workspace, documents=6)
        with pytest.raises(QuotaExceeded, match="5 are used"):
            put(alice, "one", "two")
        assert Document.objects.filter(end_user=alice).count() == 5

    def test_that_stand_may_be_put_again_however_many_there_are(self, alice):
        put(alice, "one")
        limit(alice.workspace, documents=2, bytes=1)
        assert [one.outcome for one in put(alice, "one")] == ["unchanged"]

    def test_are_limited_by_their_bytes(self, alice):
        text = "ü" * 100
        size = len(('{"text": "' + text + '"}').encode())
        limit(alice.workspace, bytes=summed(alice.workspace)["bytes"] + size)
        with pytest.raises(QuotaExceeded, match="bytes of documents and adapters"):
            put(alice, text + "x")
        put(alice, text)

    def test_of_one_workspace_are_not_anothers(self, alice, mallory):
        limit(alice.workspace, documents=5)
        put(mallory, "one more")


@pytest.mark.usefixtures("sources_deleted")
class TestImports:
    @pytest.fixture
    def imported(self, workspace, tmp_path):
        """Import so many documents; the job as it ended."""

        def imported(number):
            profile = [{"id": str(n), "text": f"text {n}"} for n in range(number)]
            questions = write(tmp_path / "questions.json", [tweet_question("1", profile=profile)])
            job = request_import(workspace=workspace, dataset="d", split="dev", questions=questions)
            run_waiting(["import_dataset"])
            return Job.objects.get(pk=job.pk)

        return imported

    def test_beyond_a_quota_fail_at_once_and_leave_nothing(self, imported, workspace):
        limit(workspace, documents=9)
        job = imported(10)
        assert (job.state, job.attempts, job.error_type) == ("failed", 1, "jobs.errors.Permanent")
        assert "may have 9 documents; 0 are used" in job.error_message
        assert not Document.objects.exists()

    def test_that_fit_are_imported(self, imported, workspace):
        limit(workspace, documents=10)
        assert imported(10).state == "done"
        assert summed(workspace)["documents"] == 10


@pytest.mark.django_db(transaction=True)
class TestTogether:
    """Several at once, each in a transaction of its own."""

    def test_who_comes_close_to_a_limit_does_not_go_beyond(self, workspace):
        limit(workspace, documents=10)
        ready = threading.Barrier(8)
        outcomes = []

        def write_some(number):
            try:
                end_user = person(workspace, f"user {number}")
                ready.wait(20)
                for n in range(3):
                    put_documents(
                        workspace=Workspace.objects.get(pk=workspace.pk),
                        end_user=end_user,
                        documents=[NewDocument(TWEETS, f"d{n}", {"text": f"text {n}"})],
                    )
                    outcomes.append("stored")
            except QuotaExceeded:
                outcomes.append("refused")
            finally:
                connection.close()

        together(*[lambda number=number: write_some(number) for number in range(8)])
        assert outcomes.count("stored") == 10 == Document.objects.count()
        assert outcomes.count("refused") >= 5

    def test_far_from_a_limit_nobody_waits_for_a_transaction_that_is_open(self, workspace, alice, bob):
        limit(workspace, documents=10**9, bytes=10**15)
        stored = []
        with transaction.atomic():
            put(alice, "one")

            def other():
                try:
                    with connection.cursor() as cursor:
                        cursor.execute("SET lock_timeout = '3s'")
                    stored.append(put(bob, "two"))
                finally:
                    connection.close()

            together(other)
        assert len(stored) == 1

    def test_close_to_it_the_second_waits_and_sees_what_the_first_has_stored(self, workspace, alice, bob):
        limit(workspace, documents=10)
        refused = []

        def other():
            try:
                put(bob, "two")
            except QuotaExceeded as problem:
                refused.append(problem.extra["used"])
            finally:
                connection.close()

        waiting = threading.Thread(target=other)
        with transaction.atomic():
            put(alice, "one")
            waiting.start()
            wait_until_somebody_waits()
        waiting.join(20)
        assert refused == [9]
        assert Document.objects.count() == 10


def together(*actions):
    threads = [threading.Thread(target=action) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)


def wait_until_somebody_waits():
    for _ in range(500):
        if somebody_waits("advisory"):
            return
        time.sleep(0.02)
    raise AssertionError("nobody waits")


class TestCommand:
    def call(self, *options, workspace="acme"):
        out = io.StringIO()
        call_command("set_quota", "--workspace", workspace, *options, stdout=out)
        return out.getvalue()

    def test_sets_what_is_named_and_shows_all(self, alice):
        said = self.call("--documents", "100", "--generations-a-day", "0")
        assert "documents: 5 used, limit 100\n" in said
        assert "adapters: 0 used, no limit\n" in said
        assert "generations a day (UTC): 0 used, limit 0\n" in said
        alice.workspace.refresh_from_db()
        assert (alice.workspace.quota_documents, alice.workspace.quota_adapters) == (100, None)
        assert set(AuditEntry.objects.values_list("actor", "subject")) == {
            ("command", "documents"),
            ("command", "generations_a_day"),
        }

    def test_goes_back_to_the_installations(self, workspace, settings):
        settings.QUOTA_DOCUMENTS = 50
        self.call("--documents", "100")
        assert "documents: 0 used, limit 50\n" in self.call("--documents", "default")

    def test_changes_nothing_where_nothing_is_named(self, workspace):
        self.call()
        assert not AuditEntry.objects.exists()

    @pytest.mark.parametrize("value", ["-1", "many", "9223372036854775808", "1.5"])
    def test_refuses_what_is_no_limit(self, workspace, value):
        with pytest.raises(CommandError, match="neither a whole number"):
            self.call(f"--documents={value}")

    def test_refuses_a_workspace_that_is_none(self, workspace):
        with pytest.raises(CommandError, match="There is no workspace"):
            self.call(workspace="nowhere")
