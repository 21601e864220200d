"""What is wrong with one migration: by its SQL, by the code it runs, and by what it says of itself.

A migration may say two things of itself:

- `safe_because = {"rule": "reason"}`: why what that rule refuses does no harm here. A reason for nothing is refused.
- `contracts = ("app", "0012_name")`: it takes away what that migration, which is released, has made unneeded. So the
  version that still runs does without, and what it used to need may go.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final, NamedTuple

from django.db.migrations import Migration, RunPython, RunSQL, SeparateDatabaseAndState
from django.db.migrations.operations.base import Operation

from common.migration_checks.squawk import warnings_of
from common.migration_checks.unreleased import Node

RUNS_CODE: Final = "runs-code"
IRREVERSIBLE: Final = "irreversible"
MANY_WITHOUT_TRANSACTION: Final = "many-without-transaction"
NOT_RELEASED: Final = "contracts-what-is-not-released"
REASON_FOR_NOTHING: Final = "reason-for-nothing"

# What a contracting migration is there for. A rename is none: no version can live on both sides of it.
_CONTRACTING: Final = frozenset(
    {"ban-drop-column", "ban-drop-table", "ban-drop-default", "ban-drop-function", "ban-drop-type", "ban-drop-view"}
)

_CONTRACT: Final = (
    "Take it out of the models first (SeparateDatabaseAndState), with a default or null in the table, and release "
    "that; a later migration may drop it, with contracts = (app, name of the released one)."
)
_REMEDIES: Final[Mapping[str, str]] = {
    "adding-required-field": "Give the field null=True or a db_default.",
    "adding-field-with-default": (
        "A default that differs from row to row rewrites the table: add the column with null=True, fill it in steps, "
        "and give it the default for new rows. One that is the same for all, such as Now(): say so in safe_because."
    ),
    "adding-foreign-key-constraint": (
        "Of a new column that is null everywhere nothing is checked: say so in safe_because. Otherwise add the key "
        "with db_constraint=False, then the constraint NOT VALID, and validate it in the next migration."
    ),
    "adding-not-nullable-field": (
        "First a CHECK (… IS NOT NULL) as AddConstraintNotValid, validated in the next migration: then there is no "
        "scan. And the version that still runs must not write null: contract in a later release."
    ),
    "ban-drop-column": _CONTRACT,
    "ban-drop-table": _CONTRACT,
    "ban-drop-default": (
        "The version that still runs inserts without the column. Give the field a db_default beside its default."
    ),
    "changing-column-type": "Add a column of the new type, write both, fill it in steps, and drop the old one later.",
    "constraint-missing-not-valid": (
        "AddConstraintNotValid of django.contrib.postgres.operations, and ValidateConstraint in the next migration."
    ),
    "disallowed-unique-constraint": (
        "Build its index with CREATE UNIQUE INDEX CONCURRENTLY in a migration with atomic = False, and then add the "
        "constraint by USING INDEX."
    ),
    "renaming-column": "Rename the field alone: db_column keeps the column's name.",
    "renaming-table": "Rename the model alone: db_table keeps the table's name.",
    "require-concurrent-index-creation": (
        "AddIndexConcurrently of django.contrib.postgres.operations, in a migration of its own with atomic = False."
    ),
    "require-concurrent-index-deletion": (
        "RemoveIndexConcurrently of django.contrib.postgres.operations, in a migration of its own with atomic = False."
    ),
    RUNS_CODE: "Say in safe_because how long it locks what, and why the version that still runs can live with it.",
    IRREVERSIBLE: "Give it a reverse, if only noop: then the version before can be gone back to.",
    MANY_WITHOUT_TRANSACTION: "One operation a migration with atomic = False: whatever fails can then be run again.",
}


class Finding(NamedTuple):
    """Why a migration is refused."""

    rule: str
    what: str
    """The statement, or the operation."""
    why: str
    remedy: str

    def __str__(self) -> str:
        return " ".join(part for part in (f"{self.rule}: {self.what}", self.why, self.remedy) if part)


def findings_of(
    migration: Migration, sql: str, *, new_tables: Iterable[str], released: Collection[Node]
) -> list[Finding]:
    """Why `migration`, whose statements are `sql`, is refused; empty where nothing speaks against it.

    `new_tables` are the CREATE TABLE statements of migrations before it that are not released either: these tables are
    empty where it runs. Raises `SquawkMissing`.
    """
    found = [*_of_sql(sql, in_transaction=migration.atomic, new_tables=new_tables), *_of_operations(migration)]
    reasons: Mapping[str, str] = getattr(migration, "safe_because", {})
    contracted: Node | None = getattr(migration, "contracts", None)
    broken = {one.rule for one in found}
    allowed = {rule for rule, reason in reasons.items() if reason.strip()}
    if contracted in released:
        allowed |= _CONTRACTING
    kept = [one for one in found if one.rule not in allowed]
    if contracted is not None and contracted not in released:
        kept.append(
            Finding(
                NOT_RELEASED,
                ".".join(contracted),
                "No release has what this contracts, so the version that still runs may need what it takes away.",
                "Contract in a later release.",
            )
        )
    kept += [
        Finding(REASON_FOR_NOTHING, rule, "safe_because speaks of a rule that is kept.", "Take it out.")
        for rule in sorted(reasons.keys() - broken)
    ]
    return kept


def _of_sql(sql: str, *, in_transaction: bool, new_tables: Iterable[str]) -> list[Finding]:
    first = [f"{' '.join(statement.split())}\n" for statement in new_tables]
    lines = sql.splitlines()
    return [
        Finding(one.rule, lines[one.line - len(first)].strip()[:200], one.message, _REMEDIES.get(one.rule, ""))
        for one in warnings_of("".join(first) + sql, in_transaction=in_transaction)
        if one.line >= len(first)
    ]


def _of_operations(migration: Migration) -> list[Finding]:
    found = []
    for operation in _in_database(migration.operations):
        what = operation.describe()
        if isinstance(operation, RunPython | RunSQL):
            found.append(Finding(RUNS_CODE, what, "What it does cannot be judged.", _REMEDIES[RUNS_CODE]))
        if not operation.reversible:
            found.append(Finding(IRREVERSIBLE, what, "", _REMEDIES[IRREVERSIBLE]))
    if not migration.atomic and len(migration.operations) > 1:
        found.append(
            Finding(
                MANY_WITHOUT_TRANSACTION,
                f"{len(migration.operations)} operations",
                "Without a transaction those before a failing one stay, and the migration cannot be run again.",
                _REMEDIES[MANY_WITHOUT_TRANSACTION],
            )
        )
    return found


def _in_database(operations: Iterable[Any]) -> Iterable[Operation]:
    for operation in operations:
        if isinstance(operation, SeparateDatabaseAndState):
            yield from _in_database(operation.database_operations)
        else:
            yield operation
