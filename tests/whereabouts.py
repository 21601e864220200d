"""Where a person is found: every table of the database, every object of the bucket, every cache of this process.

Nothing here is told which tables there are, so a new one cannot be forgotten.
"""

from collections.abc import Iterable, Mapping

from django.db import connection

from common.objects import get_store
from users_app.models import EndUser

_COLUMNS = """
    SELECT table_name, column_name FROM information_schema.columns
     WHERE table_schema = 'public' AND table_name IN (
           SELECT table_name FROM information_schema.tables
            WHERE table_schema = 'public' AND table_type = 'BASE TABLE')
     ORDER BY table_name, ordinal_position
"""


def columns() -> dict[str, list[str]]:
    """The columns of every table."""
    found: dict[str, list[str]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_COLUMNS)
        for table, column in cursor.fetchall():
            found.setdefault(table, []).append(column)
    return found


def traces(*, end_user_id: int, words: Iterable[str], documents: Iterable[int] = ()) -> list[str]:
    """Each place that names the end user by number, or holds one of the words (ids, texts, digests in hex)."""
    needles = list(words)
    found = []
    for table, names in columns().items():
        found += [
            f"{table}.{name} names the end user"
            for name in names
            if (name.endswith("end_user_id") or name == "swapped_with_id")
            and _count(f'SELECT count(*) FROM "{table}" WHERE "{name}" = %s', [end_user_id])
        ]
        for word in needles:
            held = _count(
                f'SELECT count(*) FROM "{table}" AS t WHERE position(lower(%s) IN lower(t::text)) > 0', [word]
            )
            if held:
                found.append(f"{table} holds “{word}” {held} times")
    found += [
        f"a job names the end user in {name}"
        for name in ("end_user_ids", "end_user_id")
        if _count(f"SELECT count(*) FROM jobs_job WHERE payload->'{name}' @> %s", [str(end_user_id)])
    ]
    store = get_store()
    for info in store.list(""):
        body = store.get_bytes(info.key, max_bytes=50_000_000).lower()
        found += [f"{info.key} holds “{word}”" for word in needles if word.lower().encode() in body or word in info.key]
    return found + list(_in_memory(end_user_id, set(documents)))


def rows_of(end_user: EndUser) -> Mapping[str, list[str]]:
    """Every row that names the end user, table by table, as text; and their adapters' objects."""
    found = {}
    for table, names in columns().items():
        mine = [name for name in names if name == "end_user_id" or (table, name) == ("users_app_enduser", "id")]
        for name in mine:
            with connection.cursor() as cursor:
                cursor.execute(f'SELECT t::text FROM "{table}" AS t WHERE "{name}" = %s ORDER BY 1', [end_user.pk])
                found[f"{table}.{name}"] = [row[0] for row in cursor.fetchall()]
    objects = [
        (info.key, info.etag)
        for prefix in end_user.adapters.order_by("pk").values_list("object_prefix", flat=True)
        for info in get_store().list(prefix)
    ]
    return {
        **{table: rows for table, rows in found.items() if rows},
        "objects": [f"{key} {tag}" for key, tag in objects],
    }


def _count(statement: str, values: list[object]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchone()[0]


def _in_memory(end_user_id: int, documents: set[int]) -> Iterable[str]:
    from retrieval_app.services import _bm25_indexes
    from training_app.models import Adapter
    from users_app.staging import _copied_id
    from workers.adapter_cache import adapter_cache
    from workers.loaded import _generators

    for key in _bm25_indexes.by_use():
        if key[0] == end_user_id or documents.intersection(key[-1]):
            yield f"an index of words in memory is of {key}"
    standing = set(Adapter.objects.filter(withdrawn_at=None).values_list("identity", "content_digest"))
    for key in adapter_cache._memory.held():
        if key not in standing:
            yield f"an adapter in memory has no row: {key}"
    for generator in _generators.values():
        if not {digest for _, digest in standing}.issuperset(generator.digests()):
            yield "a slot holds an adapter that has no row"
    if _copied_id.cache_info().currsize:
        yield "external ids that were copied are remembered"
