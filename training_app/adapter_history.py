"""How one end user's adapters followed each other, and what made each of them other than the one before."""

from collections.abc import Collection
from dataclasses import dataclass

from django.db import connection
from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce

from training_app.adapter_selectors import adapters_of
from training_app.models import Adapter
from users_app.models import EndUser, Workspace


def adapters_of_person(*, workspace: Workspace, end_user: EndUser) -> QuerySet[Adapter]:
    """One end user's adapters, each with its `number` among those of its task, base model and rank.

    `before_id` is the number of the row of the one before it, None of the first.
    """
    earlier = Adapter.objects.filter(
        end_user=OuterRef("end_user"),
        task=OuterRef("task"),
        base_model=OuterRef("base_model"),
        rank=OuterRef("rank"),
        is_trial=False,
        pk__lt=OuterRef("pk"),
    ).order_by()
    how_many = earlier.values("end_user").annotate(number=Count("pk")).values("number")
    return (
        adapters_of(workspace=workspace)
        .filter(end_user=end_user)
        .annotate(
            before_id=Subquery(earlier.order_by("-pk").values("pk")[:1]),
            number=Coalesce(Subquery(how_many, output_field=IntegerField()), 0) + Value(1),
        )
    )


@dataclass(frozen=True)
class DocumentsChanged:
    """How many documents an adapter learned from that the one before did not, and the other way round."""

    added: int = 0
    removed: int = 0


def reasons_of(*, workspace: Workspace, end_user: EndUser, adapters: Collection[Adapter]) -> dict[int, list[str]]:
    """By adapter, what it was made of other than the one before it, in words.

    `adapters` are those of `adapters_of_person`.
    """
    pairs = {one.pk: one.before_id for one in adapters if one.before_id is not None}  # type: ignore[attr-defined]
    before = adapters_of(workspace=workspace).filter(end_user=end_user).in_bulk(list(pairs.values()))
    changed = _documents_changed(end_user, pairs)
    return {
        one.pk: reasons(before[pairs[one.pk]], one, documents=changed.get(one.pk, DocumentsChanged()))
        if pairs.get(one.pk) in before
        else ["the first of this task, base model and rank"]
        for one in adapters
    }


def reasons(before: Adapter, adapter: Adapter, *, documents: DocumentsChanged) -> list[str]:
    """What made `adapter` another one than `before`, in words; it was made anew of the same where nothing did."""
    found = []
    if documents.added or documents.removed:
        parts = []
        if documents.added:
            parts.append(f"{documents.added} more document{'' if documents.added == 1 else 's'}")
        if documents.removed:
            parts.append(f"{documents.removed} of the earlier ones gone")
        found.append(" and ".join(parts))
    found += _numbers_changed(before, adapter)
    if before.seed != adapter.seed:
        found.append(f"seed {before.seed} → {adapter.seed}")
    if before.task_version != adapter.task_version:
        found.append("another version of the task")
    if before.engine_version != adapter.engine_version:
        found.append(f"engine {before.engine_version} → {adapter.engine_version}")
    if (before.dtype, before.stored_dtype, before.exact) != (adapter.dtype, adapter.stored_dtype, adapter.exact):
        found.append("other precision, or trained alone instead of together")
    if before.withdrawn_at is not None:
        found.append("the one before was withdrawn, as its files were lost or damaged")
    return found or ["the same documents in another order"]


def _numbers_changed(before: Adapter, adapter: Adapter) -> list[str]:
    names = sorted({*before.hyperparameters, *adapter.hyperparameters})
    pairs = [(name, before.hyperparameters.get(name), adapter.hyperparameters.get(name)) for name in names]
    return [f"{name} {old} → {new}" for name, old, new in pairs if old != new]


def _documents_changed(end_user: EndUser, pairs: dict[int, int]) -> dict[int, DocumentsChanged]:
    """Counted by the database: an adapter may have learned from a hundred thousand."""
    if not pairs:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT one.id,
                   (SELECT count(*) FROM (SELECT unnest(one.document_ids) EXCEPT ALL
                                          SELECT unnest(before.document_ids)) AS added),
                   (SELECT count(*) FROM (SELECT unnest(before.document_ids) EXCEPT ALL
                                          SELECT unnest(one.document_ids)) AS removed)
              FROM unnest(%s::bigint[], %s::bigint[]) AS pair (id, before_id)
              JOIN training_app_adapter one ON one.id = pair.id AND one.end_user_id = %s
              JOIN training_app_adapter before ON before.id = pair.before_id AND before.end_user_id = %s
            """,
            [list(pairs), list(pairs.values()), end_user.pk, end_user.pk],
        )
        return {pk: DocumentsChanged(added, removed) for pk, added, removed in cursor.fetchall()}
