"""Documents of a user's live profile: put one, many, or a stream; list, get and delete."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, Final

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.idempotency import HEADER as IDEMPOTENCY_HEADER
from common.api.pagination import PageQuery, page_schema
from common.api.parsers import Line, NDJSONParser, StrictJSONParser
from common.api.problems import MOST_ERRORS, FieldError, Problem, invalid_input, not_found
from common.api.serializers import DateTimeField, QuerySerializer, StringField
from users_app.api.base import WorkspaceView
from users_app.api.erasures import ErasureSerializer, erasure_response
from users_app.api.usage import OVER_QUOTA
from users_app.document_forms import DocumentReader
from users_app.documents import document_digest
from users_app.erasure import erase_document
from users_app.models import EndUser, ProfileEntry, Scope
from users_app.profiles import NewDocument, Outcome, ProfileFull, put_documents
from users_app.quotas import QuotaExceeded
from users_app.selectors import profile_entries

MOST_AT_ONCE: Final = 1_000
"""How many documents one list may hold."""
STREAMED_AT_ONCE: Final = 500
"""How many lines of a stream are stored together, unless they are long ones."""
_STREAMED_BYTES: Final = 8 * 2**20

_DOCUMENT: Final = {
    "type": "object",
    "additionalProperties": False,
    "required": ["id", "task", "fields"],
    "properties": {
        "id": {
            "type": "string",
            "minLength": 1,
            "maxLength": 255,
            "description": "Your own name for it, without “/” and control characters. What stands there is replaced.",
        },
        "task": {"type": "string", "description": "The key of a task, which says which fields there are."},
        "fields": {"type": "object", "description": "The task's fields (`GET /tasks/{key}`), all of them."},
        "date": {
            "type": ["string", "integer", "null"],
            "minimum": 0,
            "description": "A year or year-month-day: 2009, “2009” or “2017-01-07”. Recency needs it.",
        },
    },
}
_BODY: Final = {
    "application/json": {
        "oneOf": [_DOCUMENT, {"type": "array", "items": _DOCUMENT, "minItems": 1, "maxItems": MOST_AT_ONCE}]
    },
    "application/x-ndjson": {"type": "string", "description": "One document on each line."},
}


class DocumentSerializer(serializers.Serializer):
    """A document of the live profile."""

    id = serializers.CharField(source="client_id", read_only=True)
    task = serializers.CharField(read_only=True)
    date = serializers.SerializerMethodField(help_text="As it was sent; null without one.")
    digest = serializers.SerializerMethodField(help_text="Names the content, date included; its `ETag`.")
    added_at = serializers.DateTimeField(read_only=True)

    def get_fields(self) -> dict[str, Any]:
        # A serializer's `fields` are its own, so this one cannot be an attribute.
        sent = serializers.SerializerMethodField(
            method_name="get_content", help_text="The task's fields, as they were sent."
        )
        return {**super().get_fields(), "fields": sent}

    def get_content(self, entry: ProfileEntry) -> dict[str, Any]:
        return {name: value for name, value in entry.document.fields.items() if name != "date"}

    def get_date(self, entry: ProfileEntry) -> str | int | None:
        return entry.document.fields.get("date")

    def get_digest(self, entry: ProfileEntry) -> str:
        return bytes(entry.document.digest).hex()


class PutSerializer(serializers.Serializer):
    """What became of one document."""

    id = serializers.CharField(read_only=True)
    task = serializers.CharField(read_only=True)
    outcome = serializers.ChoiceField(choices=[str(outcome) for outcome in Outcome], read_only=True)
    digest = serializers.CharField(read_only=True)


class StreamErrorSerializer(serializers.Serializer):
    """What is wrong with a line."""

    line = serializers.IntegerField(read_only=True)
    field = serializers.CharField(read_only=True, help_text="A JSON pointer into the line's value.")
    message = serializers.CharField(read_only=True)
    remedy = serializers.CharField(read_only=True)


class DocumentsPutSerializer(serializers.Serializer):
    """What became of all documents of a request. `data` stands for one or a list, the counts of lines for a stream."""

    created = serializers.IntegerField(read_only=True)
    replaced = serializers.IntegerField(read_only=True)
    unchanged = serializers.IntegerField(read_only=True)
    data = PutSerializer(many=True, read_only=True, required=False)  # type: ignore[assignment]
    rejected = serializers.IntegerField(
        read_only=True,
        required=False,
        help_text="Lines that were not stored: those with an error or beyond a quota, and their neighbours.",
    )
    errors = StreamErrorSerializer(  # type: ignore[assignment]
        many=True, read_only=True, required=False, help_text=f"The first {MOST_ERRORS} of them."
    )


class DocumentFilters(PageQuery):
    """Which documents to list."""

    task = StringField(required=False, max_length=100, help_text="Those of this task.")
    added_since = DateTimeField(required=False, help_text="Those that stand there since then or later.")


class WhichTask(QuerySerializer):
    """Where an id stands for documents of several tasks: which is meant."""

    task = StringField(
        required=False, max_length=100, help_text="Needed where several tasks have a document of this id."
    )


class DocumentsView(WorkspaceView):
    scopes: ClassVar = {"GET": Scope.PROFILES, "POST": Scope.PROFILES}
    idempotent_methods: ClassVar = ("POST",)
    parser_classes = [StrictJSONParser, NDJSONParser]

    @extend_schema(
        operation_id="documents_list",
        parameters=[DocumentFilters],
        responses=page_schema(DocumentSerializer, name="Document"),
    )
    def get(self, request: Request, user_id: str) -> Response:
        """List the documents of a user's live profile, in the order in which they came."""
        query = self.query(DocumentFilters)
        entries = profile_entries(workspace=self.workspace, end_user=self.end_user_or_404(user_id))
        entries = entries.select_related("document")
        if "task" in query:
            entries = entries.filter(task=query["task"])
        if "added_since" in query:
            entries = entries.filter(added_at__gte=query["added_since"])

        def render(entry: ProfileEntry) -> dict[str, Any]:
            return DocumentSerializer(entry).data

        return self.page(entries, order=("id",), render=render, query=query)

    @extend_schema(
        operation_id="documents_put",
        request=_BODY,
        responses={
            200: DocumentsPutSerializer,
            409: OpenApiResponse(description="A profile of the user would hold too many (`profile-full`)."),
            **OVER_QUOTA,
        },
    )
    def post(self, request: Request, user_id: str) -> Response:
        """Put documents into a user's profile: one, a list of up to 1,000, or JSON lines as a stream.

        What stands under a document's id is replaced, and left as it is where it is the same. BM25 and recency find
        new documents at once, dense retrieval when a job has embedded them, within seconds as a rule.

        One or a list is stored whole or, with an error in it, not at all. A stream is stored 500 lines at a time: where
        one of these has an error none of them is, and the others are; so it is where a quota or the profile has no room
        for them, and then the first of them is named. It takes no `Idempotency-Key`: sending it again changes nothing.
        """
        end_user = self.end_user_or_404(user_id)
        try:
            if isinstance(request.data, Iterator):
                return self._put_stream(end_user, request.data)
            return self._put_list(end_user, request.data)
        except EndUser.DoesNotExist:
            # Erased meanwhile.
            raise not_found() from None

    def _put_list(self, end_user: EndUser, body: Any) -> Response:
        documents = _read_all(DocumentReader(self.workspace), body)

        def create() -> dict[str, Any]:
            made = put_documents(workspace=self.workspace, end_user=end_user, documents=documents)
            return {"outcomes": [str(one.outcome) for one in made]}

        made, _ = self.once(end_user=end_user, create=create)
        # The same request has the same body, so a repeated one is answered from its own.
        data = [
            {
                "id": document.client_id,
                "task": document.task,
                "outcome": outcome,
                "digest": document_digest(document.fields).hex(),
            }
            for document, outcome in zip(documents, made["outcomes"], strict=True)
        ]
        return Response({**_counts(made["outcomes"]), "data": data})

    def _put_stream(self, end_user: EndUser, lines: Iterator[Line]) -> Response:
        if IDEMPOTENCY_HEADER in self.request.headers:
            raise invalid_input(
                FieldError(
                    IDEMPOTENCY_HEADER, "A stream takes no key.", "Leave it out: sending it again changes nothing."
                )
            )
        stream = _Stream(self, end_user)
        stream.take(lines)
        if stream.refused is not None and not stream.outcomes:
            raise stream.refused
        if stream.errors and not stream.outcomes:
            shown = [
                FieldError(error["field"], f"Line {error['line']}: {error['message']}", error["remedy"])
                for error in stream.errors
            ]
            raise invalid_input(*shown)
        return Response({**_counts(stream.outcomes.elements()), "rejected": stream.rejected, "errors": stream.errors})


class _Stream:
    """Documents that come line by line, some hundred of which are in memory."""

    def __init__(self, view: WorkspaceView, end_user: EndUser) -> None:
        self._workspace = view.workspace
        self._end_user = end_user
        self._reader = DocumentReader(view.workspace)
        self.outcomes: Counter[str] = Counter()
        self.rejected = 0
        self.errors: list[dict[str, Any]] = []
        self.refused: QuotaExceeded | ProfileFull | None = None
        """What lines were refused for, though nothing is wrong with them."""

    def take(self, lines: Iterator[Line]) -> None:
        """Store all of them, a chunk in a transaction."""
        chunk: list[NewDocument] = []
        count, size, has_errors, first = 0, 0, False, 0
        for line in lines:
            read = list(line.errors) if line.errors else self._reader.read(line.value)
            first = first if count else line.number
            count += 1
            size += line.size
            if isinstance(read, list):
                has_errors = True
                self._note(line.number, read)
            else:
                chunk.append(read)
            if count == STREAMED_AT_ONCE or size >= _STREAMED_BYTES:
                self._store(chunk, count, first, has_errors=has_errors)
                chunk, count, size, has_errors = [], 0, 0, False
        if count:
            self._store(chunk, count, first, has_errors=has_errors)

    def _note(self, line: int, errors: Iterable[FieldError]) -> None:
        room = MOST_ERRORS - len(self.errors)
        self.errors += [
            {"line": line, "field": error.field, "message": error.message, "remedy": error.remedy}
            for error in list(errors)[:room]
        ]

    def _store(self, chunk: Sequence[NewDocument], count: int, first: int, *, has_errors: bool) -> None:
        if has_errors:
            self.rejected += count
            return
        try:
            made = put_documents(workspace=self._workspace, end_user=self._end_user, documents=chunk)
        except (QuotaExceeded, ProfileFull) as refused:
            self.refused = refused
            self.rejected += count
            self._note(first, [FieldError("", refused.message, refused.remedy)])
            return
        self.outcomes.update(str(one.outcome) for one in made)


class DocumentView(WorkspaceView):
    scopes: ClassVar = {"GET": Scope.PROFILES, "DELETE": Scope.PROFILES}

    @extend_schema(
        operation_id="documents_retrieve",
        parameters=[
            WhichTask,
            OpenApiParameter("If-None-Match", str, OpenApiParameter.HEADER, description="An `ETag` that is known."),
        ],
        responses={
            200: DocumentSerializer,
            304: OpenApiResponse(description="It is as known."),
        },
    )
    def get(self, request: Request, user_id: str, document_id: str) -> Response:
        """Look at a document."""
        entry = self._entry(user_id, document_id)
        headers = {"ETag": _etag(entry)}
        if _matches(request.headers.get("If-None-Match"), entry):
            return Response(status=304, headers=headers)
        return Response(DocumentSerializer(entry).data, headers=headers)

    @extend_schema(
        operation_id="documents_erase",
        parameters=[
            WhichTask,
            OpenApiParameter("If-Match", str, OpenApiParameter.HEADER, description="Only if it still has this `ETag`."),
        ],
        responses={
            200: OpenApiResponse(ErasureSerializer, "It is gone."),
            202: OpenApiResponse(
                ErasureSerializer, "It is gone but for adapters' files, which go as soon as the object store answers."
            ),
            412: OpenApiResponse(description="It is another one by now (`precondition-failed`)."),
        },
    )
    def delete(self, request: Request, user_id: str, document_id: str) -> Response:
        """Erase a document, and whatever stood under its id before.

        Adapters that were trained on it are not used again from now on, their files are deleted, and each is trained
        anew from the profile that is left: exactly as if the document had never been there.
        """
        entry = self._entry(user_id, document_id)
        if "If-Match" in request.headers and not _matches(request.headers["If-Match"], entry):
            raise Problem(
                412, "precondition-failed", "The document has changed. Look at it again before you delete it."
            )
        try:
            receipt = erase_document(
                workspace=self.workspace,
                end_user=entry.end_user,
                task=entry.task,
                client_id=entry.client_id,
                by=self.actor,
            )
        except (EndUser.DoesNotExist, ProfileEntry.DoesNotExist):
            raise not_found() from None
        return erasure_response(receipt)

    def _entry(self, user_id: str, document_id: str) -> ProfileEntry:
        query = self.query(WhichTask)
        found = profile_entries(workspace=self.workspace, end_user=self.end_user_or_404(user_id))
        found = found.filter(client_id=document_id).select_related("document", "end_user")
        if "task" in query:
            found = found.filter(task=query["task"])
        entries = list(found[:2])
        if len(entries) > 1:
            raise invalid_input(
                FieldError("?task", "Several tasks have a document of this id.", "Send the task that is meant.")
            )
        if not entries:
            raise not_found()
        return entries[0]


def _read_all(reader: DocumentReader, body: Any) -> list[NewDocument]:
    """The documents of a body; raises `Problem` 400 with everything that is wrong with it."""
    if not isinstance(body, list):
        read = reader.read(body)
        if isinstance(read, list):
            raise invalid_input(*read)
        return [read]
    if not 1 <= len(body) <= MOST_AT_ONCE:
        message = f"The list does not hold 1 to {MOST_AT_ONCE:,} documents."
        raise invalid_input(FieldError("", message, "Send as many at once, or JSON lines as a stream."))
    found: list[NewDocument] = []
    errors: list[FieldError] = []
    for at, value in enumerate(body):
        read = reader.read(value, at)
        if isinstance(read, NewDocument):
            found.append(read)
        else:
            errors += read
        if len(errors) > MOST_ERRORS:
            break
    if errors:
        raise invalid_input(*errors)
    return found


def _counts(outcomes: Iterable[str]) -> dict[str, int]:
    counted = Counter(outcomes)
    return {str(outcome): counted[str(outcome)] for outcome in Outcome}


def _etag(entry: ProfileEntry) -> str:
    return f'"{bytes(entry.document.digest).hex()}"'


def _matches(given: str | None, entry: ProfileEntry) -> bool:
    """Whether a conditional header names the entry's content, by the weak comparison."""
    if given is None:
        return False
    tags = {tag.strip().removeprefix("W/") for tag in given.split(",")}
    return "*" in tags or _etag(entry) in tags
