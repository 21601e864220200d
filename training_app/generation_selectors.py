"""Reads of generations, and of what one is made of: a user's data only by saying whose."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from django.contrib.postgres.fields import ArrayField
from django.db.models import (
    BigIntegerField,
    CharField,
    Exists,
    F,
    Func,
    IntegerField,
    OuterRef,
    QuerySet,
    TextField,
    Value,
)
from django.db.models.functions import Cast, Concat

from common.compiled_queries import CompiledQuery
from jobs.models import Job, State
from retrieval_app.chosen import Chosen, chosen_of, pools_of_selectors
from training_app.generations import ORIGIN, asked_by_clients, generation_origin
from training_app.models import Generation
from users_app.models import Document, EndUser, ProfileEntry, Workspace

WAITING = "waiting"
RUNNING = "running"
STATES = (
    WAITING,
    RUNNING,
    Generation.State.DONE.value,
    Generation.State.FAILED.value,
    Generation.State.CANCELLED.value,
)
"""Where a generation stands for its client. Of one that has not ended, its job says whether it waits or runs."""


def undated_documents(*, workspace: Workspace, end_user: EndUser, task: str, document_ids: Sequence[int]) -> int:
    """How many of these documents of the end user have no date."""
    return Document.objects.filter(
        end_user=end_user,
        end_user__workspace=workspace,
        task=task,
        pk__in=set(document_ids),
        date_key__isnull=True,
    ).count()


def unended_generations(generation_ids: Collection[int]) -> set[int]:
    """Those of these generations that have not ended yet. Says nothing of whose they are: for waiting alone."""
    return set(_UNENDED(list(generation_ids)))


_UNENDED: Final = CompiledQuery(
    lambda ids: Generation.objects.filter(pk__any=ids, state=Generation.State.ASKED).values_list("pk", flat=True),
    ArrayField(BigIntegerField()),
)


def generations_of(
    *,
    workspace: Workspace,
    kind: Generation.Kind = Generation.Kind.ANSWER,
    external_id: str | None = None,
    state: str | None = None,
    task: str | None = None,
) -> QuerySet[Generation]:
    """The generations (or previews) that clients of one workspace asked for, filtered by what is not None.

    `state` is one of `STATES`.
    """
    found: QuerySet[Generation] = (
        asked_by_clients()
        .filter(end_user__workspace=workspace, kind=kind)
        .select_related("end_user", "base_model", "adapter", "encoder")
        # There may be a hundred thousand of each, of which clients are told how many.
        .defer("profile_document_ids")
        .annotate(  # type: ignore[no-redef]  # the model only says that there may be one
            profile_size=Func(F("profile_document_ids"), function="cardinality", output_field=IntegerField())
        )
    )
    if external_id is not None:
        found = found.filter(end_user__external_id=external_id)
    if task is not None:
        found = found.filter(task=task)
    if state in (WAITING, RUNNING):
        origin = Concat(Value(f"{ORIGIN}:"), Cast(OuterRef("pk"), CharField()))
        # The second condition is the index's own.
        running = Exists(Job.objects.filter(origin=origin, state=State.RUNNING).exclude(origin=""))
        found = found.filter(running if state == RUNNING else ~running, state=Generation.State.ASKED)
    elif state is not None:
        found = found.filter(state=state)
    return found


def generation_by_id(
    *, workspace: Workspace, generation_id: int, kind: Generation.Kind = Generation.Kind.ANSWER
) -> Generation | None:
    """One that a client of `workspace` asked for; None where there is none of that number and kind."""
    return generations_by_ids(workspace=workspace, generation_ids=[generation_id], kind=kind).get(generation_id)


def generations_by_ids(
    *, workspace: Workspace, generation_ids: Collection[int], kind: Generation.Kind
) -> dict[int, Generation]:
    """Those of them that clients of `workspace` asked for, by number."""
    return {one.pk: one for one in _BY_IDS(workspace.pk, kind, list(generation_ids))}


_BY_IDS: Final = CompiledQuery(
    lambda workspace, kind, ids: generations_of(workspace=workspace, kind=kind).filter(pk__any=ids),
    EndUser._meta.get_field("workspace"),
    Generation._meta.get_field("kind"),
    ArrayField(BigIntegerField()),
)


@dataclass(frozen=True)
class Told:
    """What a client is told of a generation beside its own row: its job, its documents by the client's ids, and what a
    selector chose.
    """

    job_id: int | None
    running: bool
    documents: dict[int, str]
    """The client's id by the id of the document; one that was erased is missing."""
    chosen: Chosen | None = None
    """None where no selector chooses, or none has chosen yet."""

    def state(self, generation: Generation) -> str:
        """One of `STATES`."""
        if generation.state != Generation.State.ASKED:
            return str(generation.state)
        return RUNNING if self.running else WAITING


def told_of(*, workspace: Workspace, generations: Iterable[Generation]) -> dict[int, Told]:
    """By generation, what else there is to say. A few statements, however many they are; one more where selectors
    have chosen.
    """
    generations = list(generations)
    origins = {generation_origin(one.pk): one.pk for one in generations}
    jobs = {origins[origin]: (pk, state) for origin, pk, state in _JOBS(workspace.pk, list(origins))}
    names = _client_ids(workspace, generations)
    chosen = chosen_in(workspace=workspace, generations=generations)
    told = {}
    for one in generations:
        job_id, state = jobs.get(one.pk, (None, None))
        documents = {
            document_id: names[one.end_user_id, one.task, document_id]
            for document_id in one.retrieved_document_ids or []
            if (one.end_user_id, one.task, document_id) in names
        }
        told[one.pk] = Told(
            job_id=job_id, running=state == State.RUNNING, documents=documents, chosen=chosen.get(one.pk)
        )
    return told


def chosen_in(*, workspace: Workspace, generations: Iterable[Generation]) -> dict[int, Chosen]:
    """By generation, what its selector chose, of those for which one has. No statement where none has."""
    selected = [one for one in generations if one.chosen_retriever]
    selectors = {one.selector_id for one in selected if one.selector_id is not None}
    pools = pools_of_selectors(workspace=workspace, selector_ids=selectors)
    found = {
        one.pk: chosen_of(
            selector_id=one.selector_id, retriever=one.chosen_retriever, scores=one.candidate_scores, pools=pools
        )
        for one in selected
    }
    return {pk: chosen for pk, chosen in found.items() if chosen is not None}


_JOBS: Final = CompiledQuery(
    # The second condition is the index's own, which PostgreSQL does not see in an array.
    lambda workspace, origins: (
        Job.objects.filter(workspace_id=workspace, origin__any=origins)
        .exclude(origin="")
        .order_by("pk")
        .values_list("origin", "pk", "state")
    ),
    BigIntegerField(),
    ArrayField(TextField()),
)


def _client_ids(workspace: Workspace, generations: Iterable[Generation]) -> dict[tuple[int, str, int], str]:
    """The client's id by (end user, task, document): the one under which it stands now, else stood last."""
    wanted = {(one.end_user_id, document_id) for one in generations for document_id in one.retrieved_document_ids or []}
    if not wanted:
        return {}
    end_users = {end_user_id for end_user_id, _ in wanted}
    documents = {document_id for _, document_id in wanted}
    rows = _ENTRIES(workspace.pk, list(end_users), list(documents))
    return {(end_user_id, task, document_id): client_id for end_user_id, task, document_id, client_id in rows}


_ENTRIES: Final = CompiledQuery(
    lambda workspace, end_users, documents: (
        ProfileEntry.objects.filter(
            end_user__workspace=workspace, end_user__pk__any=end_users, document__pk__any=documents
        )
        # Removed ones first, so that the one that stands has the last word.
        .order_by("removed_at", "position")
        .values_list("end_user_id", "task", "document_id", "client_id")
    ),
    EndUser._meta.get_field("workspace"),
    ArrayField(BigIntegerField()),
    ArrayField(BigIntegerField()),
)
