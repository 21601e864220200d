"""New migrations that two versions could not live with are refused, and those that they can pass."""

from typing import Any

import pytest
from django.conf import settings
from django.contrib.postgres.operations import (
    AddConstraintNotValid,
    AddIndexConcurrently,
    RemoveIndexConcurrently,
    ValidateConstraint,
)
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import migrations, models
from django.db.migrations import Migration
from django.db.migrations.loader import MigrationLoader
from django.db.models import Q
from django.db.models.functions import Now

from common.management.commands import check_migrations
from common.migration_checks import squawk
from common.migration_checks.checking import unsafe_migrations
from common.migration_checks.unreleased import UnknownRelease, apps_with_migrations, newest_migrations

RELEASED = ("users_app", "0031_profile_tallies")

# `AddIndexConcurrently` refuses to be in a transaction, be it the test's.
pytestmark = pytest.mark.django_db(transaction=True)


def made(*operations: Any, name: str = "0900_new", after: str = RELEASED[1], **said: Any) -> Migration:
    """A migration of users_app with these operations, which says this of itself."""
    members = {"operations": list(operations), "dependencies": [(RELEASED[0], after)], **said}
    return type("Migration", (Migration,), members)(name, RELEASED[0])


def with_new(*new: Migration) -> MigrationLoader:
    """All migrations that there are, and these."""
    loader = MigrationLoader(None)
    for migration in new:
        loader.graph.add_node(("users_app", migration.name), migration)
        for parent in migration.dependencies:
            loader.graph.add_dependency(migration, ("users_app", migration.name), parent)
    return loader


def rules(*new: Migration) -> list[list[str]]:
    """What is refused of each of these migrations, when they come after all that is released."""
    loader = with_new(*new)
    released = newest_migrations(MigrationLoader(None)) | dict([RELEASED])
    return [
        [one.rule for one in found]
        for migration, found in unsafe_migrations(loader, released=released)
        if migration in new
    ]


def of(*operations: Any, **said: Any) -> list[str]:
    """The same, of one migration with these operations."""
    return rules(made(*operations, **said))[0]


def add_field(field: models.Field, name: str = "height") -> migrations.AddField:
    return migrations.AddField("document", name, field)


HEIGHT = models.IntegerField(null=True)
TALL = models.CheckConstraint(condition=Q(position__gte=0), name="entry_position_counts")
BY_POSITION = models.Index(fields=["position"], name="entry_by_position")


def test_what_stands_here_passes():
    call_command("check_migrations")


@pytest.mark.parametrize(
    "operation",
    [
        migrations.CreateModel("Fresh", [("id", models.BigAutoField(primary_key=True)), ("name", models.TextField())]),
        add_field(models.IntegerField(null=True)),
        add_field(models.IntegerField(db_default=3)),
        add_field(models.TextField(default="", db_default="")),
        AddConstraintNotValid("profileentry", TALL),
        migrations.AlterField("membership", "role", models.CharField(max_length=20, choices=[("owner", "owns")])),
        migrations.AlterModelOptions("document", {"verbose_name": "paper"}),
    ],
    ids=lambda operation: operation.describe(),
)
def test_a_migration_that_only_adds_passes(operation):
    assert of(operation) == []


@pytest.mark.parametrize(
    ("operation", "rule"),
    [
        (migrations.RemoveField("document", "date_key"), "ban-drop-column"),
        (migrations.DeleteModel("ErasureReceipt"), "ban-drop-table"),
        (migrations.RenameField("document", "date_key", "dated"), "renaming-column"),
        (migrations.RenameModel("ErasureReceipt", "Receipt"), "renaming-table"),
        (migrations.AlterModelTable("erasurereceipt", "receipts"), "renaming-table"),
        (migrations.AlterField("document", "date_key", models.TextField(null=True)), "changing-column-type"),
        (migrations.AlterField("document", "task", models.CharField(max_length=10)), "changing-column-type"),
        (migrations.AlterField("profileentry", "removed_at", models.DateTimeField()), "adding-not-nullable-field"),
        # Django takes the default away from the table again, so the version before can insert no row.
        (add_field(models.IntegerField(default=3)), "ban-drop-default"),
        (add_field(models.IntegerField(null=True, unique=True)), "disallowed-unique-constraint"),
        (migrations.AddIndex("profileentry", BY_POSITION), "require-concurrent-index-creation"),
        (migrations.AlterField("document", "task", models.CharField(max_length=100, db_index=True)),
         "require-concurrent-index-creation"),
        (migrations.RemoveIndex("erasurereceipt", "erasure_unfinished"), "require-concurrent-index-deletion"),
        (migrations.AddConstraint("profileentry", TALL), "constraint-missing-not-valid"),
        (migrations.AddConstraint("document", models.UniqueConstraint(fields=["digest"], name="once")),
         "disallowed-unique-constraint"),
        (migrations.RemoveConstraint("profileentry", "profile_entry_position_once"), "ban-drop-constraint"),
        (migrations.RunSQL("ALTER TABLE users_app_document DROP COLUMN date_key", "SELECT 1"), "ban-drop-column"),
    ],
    ids=lambda one: one if isinstance(one, str) else one.describe(),
)  # fmt: skip
def test_what_breaks_the_version_before_or_locks_a_table_is_refused(operation, rule):
    assert rule in of(operation)


def test_a_table_that_is_as_new_may_be_given_anything():
    fresh = migrations.CreateModel(
        "Fresh",
        [
            ("id", models.BigAutoField(primary_key=True)),
            ("name", models.CharField(max_length=10, unique=True)),
            ("document", models.ForeignKey("users_app.Document", models.CASCADE)),
        ],
    )
    index = migrations.AddIndex("fresh", models.Index(fields=["name"], name="fresh_by_name"))
    first = made(fresh, name="0900_fresh")
    assert rules(first, made(index, name="0901_index", after="0900_fresh")) == [[], []]


def test_indexes_and_constraints_pass_in_the_way_that_locks_nothing():
    first = made(AddIndexConcurrently("profileentry", BY_POSITION), atomic=False)
    second = made(AddConstraintNotValid("profileentry", TALL), name="0901_tall", after="0900_new")
    third = made(ValidateConstraint("profileentry", "entry_position_counts"), name="0902_valid", after="0901_tall")
    fourth = made(
        RemoveIndexConcurrently("profileentry", "entry_by_position"), name="0903_gone", after="0902_valid", atomic=False
    )
    assert rules(first, second, third, fourth) == [[], [], [], []]


def test_a_constraint_is_not_validated_in_the_transaction_that_adds_it():
    both = (AddConstraintNotValid("profileentry", TALL), ValidateConstraint("profileentry", "entry_position_counts"))
    assert of(*both) == ["constraint-missing-not-valid"]


def test_without_a_transaction_a_migration_does_one_thing():
    operations = (AddIndexConcurrently("profileentry", BY_POSITION), add_field(models.IntegerField(null=True)))
    assert of(*operations, atomic=False) == ["many-without-transaction"]


def test_code_and_sql_need_a_reason_and_a_way_back():
    code = migrations.RunPython(lambda apps, editor: None)
    assert of(code) == ["runs-code", "irreversible"]
    assert of(migrations.RunSQL("UPDATE users_app_document SET task = ''", "SELECT 1")) == ["runs-code"]
    there_and_back = migrations.RunPython(lambda apps, editor: None, migrations.RunPython.noop)
    assert of(there_and_back, safe_because={"runs-code": "It writes a row of its own, and nothing else."}) == []


def test_a_reason_lets_pass_what_it_speaks_of_and_nothing_else():
    default = add_field(models.DateTimeField(db_default=Now()))
    reason = {"adding-field-with-default": "Now() is one value for all rows: nothing is rewritten."}
    assert of(default) == ["adding-field-with-default"]
    assert of(default, safe_because=reason) == []
    assert of(default, safe_because=dict.fromkeys(reason, " ")) == ["adding-field-with-default"]
    assert of(migrations.RemoveField("document", "date_key"), add_field(models.TextField(db_default=Now())),
              safe_because=reason) == ["ban-drop-column"]  # fmt: skip


def test_a_reason_for_nothing_is_refused():
    assert of(add_field(HEIGHT), safe_because={"ban-drop-column": "gone"}) == ["reason-for-nothing"]


def test_what_a_release_has_made_unneeded_may_go():
    dropped = migrations.RunSQL("ALTER TABLE users_app_document DROP COLUMN date_key", "SELECT 1")
    reason = {"runs-code": "Taking a column away locks the table for a moment."}
    assert of(dropped, safe_because=reason) == ["ban-drop-column"]
    assert of(dropped, safe_because=reason, contracts=RELEASED) == []


def test_nothing_is_taken_away_in_the_release_that_makes_it_unneeded():
    unused = made(
        migrations.SeparateDatabaseAndState(state_operations=[migrations.RemoveField("document", "date_key")]),
        name="0900_unused",
    )
    dropped = made(
        migrations.RunSQL("ALTER TABLE users_app_document DROP COLUMN date_key", "SELECT 1"),
        name="0901_dropped", after="0900_unused",
        safe_because={"runs-code": "Taking a column away locks the table for a moment."},
        contracts=("users_app", "0900_unused"),
    )  # fmt: skip
    assert rules(unused, dropped) == [[], ["ban-drop-column", "contracts-what-is-not-released"]]


def test_a_rename_is_no_contraction():
    rename = migrations.RenameField("document", "date_key", "dated")
    assert of(rename, contracts=RELEASED) == ["renaming-column"]


def test_the_command_says_where_and_what_to_do_and_fails(monkeypatch, capsys):
    index = made(migrations.AddIndex("profileentry", BY_POSITION))
    monkeypatch.setattr(check_migrations, "MigrationLoader", lambda connection: with_new(index))
    with pytest.raises(CommandError, match="unsafe while two versions run"):
        call_command("check_migrations")
    said = capsys.readouterr().err
    assert "users_app.0900_new: require-concurrent-index-creation: CREATE INDEX" in said
    assert "AddIndexConcurrently" in said


def test_the_command_fails_where_the_linter_is_missing(monkeypatch):
    monkeypatch.setattr(check_migrations, "MigrationLoader", lambda connection: with_new(made(add_field(HEIGHT))))
    monkeypatch.setattr(squawk.shutil, "which", lambda *args, **kwargs: None)
    with pytest.raises(CommandError, match="squawk is not installed"):
        call_command("check_migrations")


def test_every_app_of_ours_is_spoken_of():
    assert apps_with_migrations() == set(settings.RELEASED_MIGRATIONS)


@pytest.mark.parametrize(
    ("released", "message"),
    [
        ({"users_app": "0031_profile_tallies"}, "says nothing of"),
        (dict.fromkeys(settings.RELEASED_MIGRATIONS) | {"jobs": "0900_dreamt"}, "jobs.0900_dreamt"),
    ],
)
def test_a_release_that_does_not_fit_is_refused(released, message):
    with pytest.raises(UnknownRelease, match=message):
        list(unsafe_migrations(MigrationLoader(None), released=released))


def test_an_app_without_a_release_is_new_altogether():
    released = newest_migrations(MigrationLoader(None)) | {"jobs": None}
    checked = [
        (migration.app_label, migration.name)
        for migration, _ in unsafe_migrations(MigrationLoader(None), released=released)
    ]
    # What released migrations of other apps need is released, whatever is said of its own app.
    assert all(label == "jobs" for label, _ in checked)


def test_the_newest_migrations_are_printed_to_be_the_released_ones(capsys):
    call_command("check_migrations", newest=True)
    printed = capsys.readouterr().out
    for label, name in newest_migrations(MigrationLoader(None)).items():
        assert f'"{label}": "{name}",' in printed
