"""The SQL of a migration as PostgreSQL is given it."""

from django.db import connection
from django.db.migrations import Migration
from django.db.migrations.state import ProjectState


def statements_of(migration: Migration, *, before: ProjectState) -> str:
    """Every statement of `migration`, one after the other, and comments that say which operation each belongs to.

    `before` is what the models look like when it begins; it is changed to what they look like afterwards. Nothing is
    executed, and what Python would do is missing.
    """
    with connection.schema_editor(collect_sql=True, atomic=False) as editor:
        migration.apply(before, editor, collect_sql=True)
    return "\n".join(editor.collected_sql) + "\n"
