"""What a client says of an answer: an accepted or corrected text joins the user's profile, a rejection is kept."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from common.api.problems import FieldError, Problem, invalid_input, not_found
from lamp.catalogue import UnknownTask
from lamp.feedback import NoDocument, document_of
from training_app.models import Generation
from users_app.document_forms import DocumentReader
from users_app.models import Document, EndUser, ProfileEntry, Workspace
from users_app.profiles import NewDocument, put_documents
from users_app.services import remove_document
from users_app.tasks import task_of


@transaction.atomic
def give_feedback(
    *,
    workspace: Workspace,
    generation: Generation,
    rating: Generation.Rating,
    text: str | None = None,
    fields: Mapping[str, Any] | None = None,
    date: Any = None,
    document_id: str | None = None,
) -> None:
    """Keep `rating`; unless it is a rejection, let the text stand in the user's profile.

    An accepted text is the output, a corrected one is `text`. The document is made of the generation's input and that
    text where the task's training pair tells which of its fields they are (`lamp.feedback`); `fields` gives the whole
    document instead. Its `date` is today's unless given, where the profile's documents have dates. It stands under
    `document_id`, "generation-12" unless given. Later feedback takes the place of earlier: its document is replaced,
    or taken out, unless somebody put another one there since.

    Raises Problem 409 `not-answered` while there is no answer, 409 `document-exists` where a document that is none of
    this generation's stands there, 400 where no document can be made, and 404 where the generation or its user is gone.
    """
    # The user first, as erasure does, so that neither waits for the other.
    if not EndUser.objects.select_for_update(no_key=True).filter(pk=generation.end_user_id).exists():
        raise not_found()
    standing = Generation.objects.select_for_update(of=("self",)).filter(pk=generation.pk).first()
    if standing is None:
        raise not_found()
    if standing.state != Generation.State.DONE:
        raise Problem(409, "not-answered", "There is no answer to say anything of. Wait until its state is “done”.")
    _require_consistent(rating, text=text, of_document={"fields": fields, "date": date, "document_id": document_id})
    client_id = ""
    if rating != Generation.Rating.REJECTED:
        client_id = document_id or standing.feedback_client_id or f"generation-{standing.pk}"
    if client_id and not _is_own(standing, _live_entry(standing, client_id)):
        raise Problem(
            409,
            "document-exists",
            "Another document stands under that id, which feedback does not replace. Give another “document_id”, or "
            "delete that document first.",
        )
    earlier = standing.feedback_client_id
    if earlier not in ("", client_id) and _is_own(standing, _live_entry(standing, earlier)):
        remove_document(
            workspace=workspace,
            end_user=generation.end_user,
            task=standing.task,
            client_id=earlier,
        )
    if client_id:
        answer = standing.output if text is None else text
        assert answer is not None
        document = _document(workspace, standing, answer, client_id=client_id, fields=fields, date=date)
        put_documents(workspace=workspace, end_user=generation.end_user, documents=[document])
    Generation.objects.filter(pk=standing.pk).update(rating=rating, rated_at=Now(), feedback_client_id=client_id)


def _live_entry(generation: Generation, client_id: str) -> ProfileEntry | None:
    entries = ProfileEntry.objects.filter(end_user=generation.end_user_id, task=generation.task, client_id=client_id)
    return entries.filter(removed_at__isnull=True).first()


def _is_own(generation: Generation, entry: ProfileEntry | None) -> bool:
    """Whether nothing stands there but what feedback on this generation put there.

    An entry's content never changes, and feedback notes its time after it has made its entry, while nobody else writes
    the profile: so whatever somebody puts there afterwards is younger.
    """
    if entry is None:
        return True
    rated_at = generation.rated_at
    return generation.feedback_client_id == entry.client_id and rated_at is not None and entry.added_at <= rated_at


def _require_consistent(rating: Generation.Rating, *, text: str | None, of_document: Mapping[str, Any]) -> None:
    errors = []
    if rating == Generation.Rating.CORRECTED and text is None:
        errors.append(FieldError("/text", "This is missing.", "Give the text as it should have been."))
    if rating != Generation.Rating.CORRECTED and text is not None:
        errors.append(
            FieldError("/text", f"This has no meaning for “{rating}”.", "Leave it out, or rate as “corrected”.")
        )
    if rating == Generation.Rating.REJECTED:
        errors += [
            FieldError(f"/{name}", "This has no meaning for “rejected”, of which no document is made.", "Leave it out.")
            for name, value in of_document.items()
            if value is not None
        ]
    if errors:
        raise invalid_input(*errors)


def _document(
    workspace: Workspace,
    generation: Generation,
    answer: str,
    *,
    client_id: str,
    fields: Mapping[str, Any] | None,
    date: Any,
) -> NewDocument:
    """The document that the answer makes, of `fields` and `date` where the client gives them."""
    if fields is None:
        fields = _formed(workspace, generation, answer)
    if date is None and _has_dates(generation):
        date = datetime.now(UTC).date().isoformat()
    value = {"id": client_id, "task": generation.task, "fields": dict(fields), "date": date}
    found = DocumentReader(workspace).read(value)
    if isinstance(found, NewDocument):
        return found
    raise invalid_input(*found)


def _formed(workspace: Workspace, generation: Generation, answer: str) -> dict[str, Any]:
    """The fields of the document that the input and the answer make."""
    try:
        task = task_of(workspace=workspace, key=generation.task)
    except UnknownTask:
        raise Problem(409, "unknown-task", "The task of this generation is no more, nor are profiles for it.") from None
    try:
        if not answer.strip():
            raise NoDocument("the text is empty")
        return document_of(task, input_text=generation.input, answer=answer)
    except NoDocument as problem:
        remedy = f"Give “fields” with {', '.join(task.fields)}, as they shall stand in the profile."
        raise invalid_input(FieldError("/fields", f"These are needed: {problem}.", remedy)) from None


def _has_dates(generation: Generation) -> bool:
    """Whether a document of the live profile has a date: one without would keep the profile from being ordered."""
    return Document.objects.filter(
        end_user=generation.end_user_id,
        task=generation.task,
        profile_entries__removed_at__isnull=True,
        date_key__isnull=False,
    ).exists()
