"""Usage is what the tables hold, whatever has happened to them."""

import secrets
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eval_app.importing import Order, Source, import_split
from jobs import sweeps
from jobs.services import sweep
from tests import people
from tests.lamp.lamp_files import outputs, tweet_question, write
from tests.people import TWEETS, tweets_of
from tests.training_app.adapters import facts, plan_of
from tests.training_app.generations import answered, asked
from tests.usage import counted, summed
from training_app.adapter_deletion import delete_adapter
from training_app.adapters import record_adapter, withdraw_adapter
from training_app.models import Adapter, Generation
from users_app.audit import INSTALLATION
from users_app.erasure import _erase_entries, erase_end_user
from users_app.models import Document, EndUser, Quota, Usage, Workspace
from users_app.profiles import NewDocument, put_documents
from users_app.usage import DAYS_KEPT, compact_usage, used


def put(end_user, client_id, text):
    put_documents(
        workspace=end_user.workspace, end_user=end_user, documents=[NewDocument(TWEETS, client_id, {"text": text})]
    )


def train(end_user, **told):
    plan = plan_of(end_user, tweets_of(end_user), **told)
    return record_adapter(end_user=end_user, plan=plan, facts=facts(secrets.token_hex(8)))


def test_documents_are_counted_once_a_content_and_by_the_bytes_of_their_fields(alice):
    before = summed(alice.workspace)
    put(alice, "x", "grüße")
    put(alice, "y", "grüße")
    after = summed(alice.workspace)
    assert after["documents"] == before["documents"] + 1
    assert after["bytes"] == before["bytes"] + len('{"text": "grüße"}'.encode())


def test_a_withdrawn_adapter_counts_no_more(alice):
    before = summed(alice.workspace)
    adapter = train(alice)
    assert summed(alice.workspace)["adapters"] == 1
    assert summed(alice.workspace)["bytes"] == before["bytes"] + adapter.size_bytes
    withdraw_adapter(adapter=adapter)
    assert summed(alice.workspace) == before
    Adapter.objects.filter(pk=adapter.pk).delete()
    assert summed(alice.workspace) == before


def test_what_clients_ask_for_is_counted_on_its_day_and_stays_so(alice):
    asked(alice)
    asked(alice, kind="preview")
    assert summed(alice.workspace)["generations_a_day"] == 1
    Generation.objects.all().delete()
    assert used(workspace=alice.workspace, quotas=[Quota.GENERATIONS_A_DAY]) == {Quota.GENERATIONS_A_DAY: 1}


def test_yesterdays_generations_are_not_todays(alice):
    generation = asked(alice)
    generation.pk, generation.created_at = None, datetime.now(UTC) - timedelta(days=1)
    generation.save(force_insert=True)
    assert summed(alice.workspace)["generations_a_day"] == 2
    assert used(workspace=alice.workspace, quotas=[Quota.GENERATIONS_A_DAY]) == {Quota.GENERATIONS_A_DAY: 1}


def test_what_an_evaluation_asks_for_is_not_counted(alice):
    generation = asked(alice)
    generation.pk, generation.asked_method, generation.origin = None, "", "run:1/2"
    generation.save(force_insert=True)
    assert summed(alice.workspace)["generations_a_day"] == 1


def test_an_import_is_counted(workspace, tmp_path):
    questions = [tweet_question(str(n), profile=[{"id": "1", "text": f"so {n}"}]) for n in range(5)]
    order = Order(
        workspace,
        "lamp",
        "dev",
        Source(write(tmp_path / "questions.json", questions), "questions.json"),
        Source(write(tmp_path / "outputs.json", outputs("LaMP_7", {str(n): "x" for n in range(5)})), "outputs.json"),
    )
    import_split(order)
    assert summed(workspace) == counted(workspace)
    assert summed(workspace)["documents"] == 5
    before = summed(workspace)
    import_split(order)
    assert summed(workspace) == before


def test_what_is_copied_in_is_counted(alice, bob):
    before = summed(alice.workspace)
    into = "COPY users_app_document (end_user_id, task, digest, fields) FROM STDIN"
    with connection.cursor() as cursor, cursor.copy(into) as rows:
        for end_user in (alice, bob):
            rows.write_row((end_user.pk, TWEETS, b"0" * 32, '{"text": "copied"}'))
    assert summed(alice.workspace) == counted(alice.workspace)
    assert summed(alice.workspace)["documents"] == before["documents"] + 2


def test_nobodys_usage_is_another_workspaces(alice, mallory):
    before = summed(mallory.workspace)
    put(alice, "x", "more")
    assert summed(mallory.workspace) == before == counted(mallory.workspace)


def test_erasing_a_person_leaves_what_the_others_have(alice, bob):
    for end_user in (alice, bob):
        train(end_user)
        asked(end_user)
    erase_end_user(workspace=alice.workspace, end_user=alice)
    left = summed(bob.workspace)
    assert left.pop("generations_a_day") == 2
    assert left.items() <= counted(bob.workspace).items()
    assert left["adapters"] == 1


def test_a_deleted_workspace_leaves_nothing(alice, mallory):
    train(alice)
    answered(alice)
    erase_end_user(workspace=alice.workspace, end_user=people.person(alice.workspace, "carol", people.OF_BOB[:1]))
    number = alice.workspace.pk
    alice.workspace.delete()
    assert not Usage.objects.filter(workspace_id=number).exists()
    assert summed(mallory.workspace) == counted(mallory.workspace)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["put", "put_many", "erase_document", "train", "withdraw", "delete_adapter", "ask", "preview", "erase",
             "delete_rows", "compact"]
        ),
        st.integers(0, 2),
        st.integers(0, 5),
    ),
    min_size=5,
    max_size=25,
)  # fmt: skip


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(steps=STEPS)
def test_whatever_happens_usage_is_what_a_count_of_everything_says(db, steps):
    with transaction.atomic():
        space = people.workspace("property")
        erased = 0
        for step, who, number in steps:
            end_user = people.person(space, f"user {who}")
            erased += act(step, end_user, number)
        found = summed(space)
        assert found.pop("generations_a_day") == counted(space)["generations_a_day"] + erased
        assert found.items() <= counted(space).items()
        compact_usage()
        groups = list(Usage.objects.filter(workspace_id=space.pk).values_list("what", "day"))
        assert len(groups) == len(set(groups))
        assert found.items() <= summed(space).items()
        transaction.set_rollback(True)


def act(step, end_user, number):
    """Do it; how many generations are gone by that, which stay counted."""
    documents, adapter = tweets_of(end_user), Adapter.objects.filter(end_user=end_user).first()
    if step == "put":
        put(end_user, f"d{number}", f"text {number}")
    elif step == "put_many":
        many = [NewDocument(TWEETS, f"m{n}", {"text": "ü" * n, "date": 2000 + n}) for n in range(number + 1)]
        put_documents(workspace=end_user.workspace, end_user=end_user, documents=many)
    elif step == "erase_document" and end_user.profile_entries.filter(client_id=f"d{number}", removed_at=None):
        erase_document_rows(end_user, f"d{number}")
    elif step == "train" and documents:
        train(end_user, seed=number)
    elif step == "withdraw" and adapter is not None:
        withdraw_adapter(adapter=adapter)
    elif step == "delete_adapter" and adapter is not None:
        delete_adapter(adapter=adapter)
    elif step == "ask":
        asked(end_user, method="none")
    elif step == "preview":
        asked(end_user, method="none", kind="preview")
    elif step == "erase":
        gone = Generation.objects.filter(end_user=end_user, kind="answer").count()
        EndUser.objects.get(pk=end_user.pk).delete()
        return gone
    elif step == "delete_rows":
        Document.objects.filter(pk__in=[document.pk for document in documents[:number]]).delete()
    elif step == "compact":
        compact_usage()
    return 0


def erase_document_rows(end_user, client_id):
    """As `erase_document` does within its transaction, which is durable and so no part of another."""
    _erase_entries.__wrapped__(end_user.workspace, end_user, TWEETS, client_id, INSTALLATION)


class TestCompaction:
    def test_makes_one_row_of_each_sum_and_changes_none(self, alice, mallory):
        for n in range(5):
            put(alice, "x", f"text {n}")
            asked(alice)
        before = summed(alice.workspace), summed(mallory.workspace)
        assert Usage.objects.filter(workspace_id=alice.workspace_id, what="documents").count() > 5
        compact_usage()
        assert (summed(alice.workspace), summed(mallory.workspace)) == before
        assert Usage.objects.filter(workspace_id=alice.workspace_id, what="documents").count() == 1

    def test_is_done_by_the_sweep(self, alice, monkeypatch, caplog):
        monkeypatch.setattr(sweeps, "_due_at", {})
        sweep()
        assert Usage.objects.filter(workspace_id=alice.workspace_id).count() == 2
        assert "failed" not in caplog.text
        put(alice, "x", "text")
        sweep()
        assert Usage.objects.filter(workspace_id=alice.workspace_id).count() == 4

    def test_leaves_no_row_where_nothing_is_left(self, alice):
        erase_end_user(workspace=alice.workspace, end_user=alice)
        compact_usage()
        assert not Usage.objects.filter(workspace_id=alice.workspace_id).exists()

    def test_forgets_days_long_past(self, alice):
        today = datetime.now(UTC).date()
        for age in (DAYS_KEPT, DAYS_KEPT + 1):
            Usage.objects.create(
                workspace_id=alice.workspace_id, what="generations_a_day", day=today - timedelta(days=age), amount=1
            )
        compact_usage()
        days = Usage.objects.filter(what="generations_a_day").values_list("day", flat=True)
        assert list(days) == [today - timedelta(days=DAYS_KEPT)]

    def test_goes_on_until_all_is_put_together(self, alice, monkeypatch):
        monkeypatch.setattr("users_app.usage._CHUNK", 3)
        before = summed(alice.workspace)
        compact_usage()
        assert Usage.objects.filter(workspace_id=alice.workspace_id).count() == 2
        assert summed(alice.workspace) == before


@pytest.mark.django_db(transaction=True)
def test_the_migrations_count_what_stands_and_can_be_taken_back(alice, mallory):
    train(alice)
    withdraw_adapter(adapter=train(alice, seed=1))
    answered(alice)
    asked(alice, kind="preview")
    try:
        call_command("migrate", "training_app", "0004", verbosity=0)
        left = summed(alice.workspace)
        assert (left["adapters"], left["generations_a_day"]) == (0, 0)
        assert left["bytes"] == counted(alice.workspace)["bytes"] - facts().size_bytes
        call_command("migrate", "users_app", "0021", verbosity=0)
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_proc WHERE proname ~ '_count_|_forget_usage|_audit'")
            assert cursor.fetchone()[0] == 0
    finally:
        call_command("migrate", verbosity=0)
    for workspace in Workspace.objects.all():
        assert summed(workspace) == counted(workspace)
