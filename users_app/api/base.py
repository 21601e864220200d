"""The base of every view of the API: whose key it is, what it may do, and the few things that views share."""

import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any, ClassVar, cast

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer, ValidationError
from rest_framework.views import APIView

from common.api import idempotency
from common.api.field_errors import field_errors
from common.api.pagination import PageQuery, list_name, page_of
from common.api.parsers import StrictJSONParser
from common.api.problems import MOST_ERRORS, FieldError, Problem, found_or_404, invalid_input
from common.api.rate_limits import Allowance, count_request
from common.api.requests import ApiRequest
from common.api.serializers import QuerySerializer
from common.logs import context
from users_app.api.authentication import ApiKeyAuthentication
from users_app.audit import Actor, actor_of_key
from users_app.models import ApiKey, EndUser, Workspace
from users_app.selectors import end_user_by_external_id


class WorkspaceView(APIView):
    """A view of one workspace: its API key's. What is another's answers 404, as what never existed.

    `scopes` names, for each method that the view has, what a key must be allowed; HEAD goes with GET. A method without
    one is refused to everybody.

        class JobView(WorkspaceView):
            scopes = {"GET": Scope.READ}

            def get(self, request: Request, job_id: int) -> Response: ...
    """

    scopes: ClassVar[Mapping[str, str]] = {}

    authentication_classes = [ApiKeyAuthentication]
    permission_classes = []
    parser_classes = [StrictJSONParser]
    # No OPTIONS: other sites' scripts have no business here, and the API's description says what a view does.
    http_method_names = ["get", "post", "put", "patch", "delete", "head"]

    workspace: Workspace
    api_key: ApiKey
    _allowance: Allowance | None = None
    _replayed = False

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        """The request, with bodies of unknown length too."""
        return ApiRequest(
            request,
            parsers=self.get_parsers(),
            authenticators=self.get_authenticators(),
            negotiator=self.get_content_negotiator(),
            parser_context=self.get_parser_context(request),
        )

    @property
    def actor(self) -> Actor:
        """Who asks, for what is recorded (`users_app.audit`)."""
        return actor_of_key(self.api_key, request=self.request._request)

    def perform_authentication(self, request: Request) -> None:
        """Learn whose key it is, and count the request."""
        key = request.auth
        assert isinstance(key, ApiKey)
        self.api_key, self.workspace = key, key.workspace
        context.bind(workspace_id=key.workspace_id)
        per_minute = key.requests_per_minute or settings.API_REQUESTS_PER_MINUTE
        self._allowance = count_request(key.prefix, per_minute=per_minute)

    def check_permissions(self, request: Request) -> None:
        """Raise `Problem` 403 where the key may not do what this method does."""
        method = "GET" if request.method == "HEAD" else str(request.method)
        if method.lower() not in self.http_method_names or not hasattr(self, method.lower()):
            return  # Nothing will be done: the answer is 405.
        scope = self.scopes.get(method)
        if scope is None:
            raise Problem(403, "missing-scope", "No key may do this.")
        if scope not in self.api_key.scopes:
            raise Problem(
                403, "missing-scope", f"This key lacks the scope “{scope}”. Use one that has it.", scope=str(scope)
            )

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Response:
        """Add what every answer carries."""
        finished = super().finalize_response(request, response, *args, **kwargs)
        if self._allowance is not None:
            for name, value in self._allowance.headers().items():
                finished.headers.setdefault(name, value)
        if self._replayed:
            finished.headers[idempotency.REPLAYED_HEADER] = "true"
        finished.headers.setdefault("Cache-Control", "private, no-cache")
        return finished

    def body(self, serializer: type[BaseSerializer], *, many: bool = False) -> Any:
        """The request's body as `serializer` reads it; raises `Problem` 400 with a JSON pointer for each error."""
        reader = serializer(many=True) if many else _reader(serializer)
        try:
            return reader.run_validation(self.request.data)
        except ValidationError as wrong:
            raise invalid_input(*islice(field_errors(wrong.detail), MOST_ERRORS + 1)) from None

    def query(self, serializer: type[QuerySerializer]) -> dict[str, Any]:
        """The query parameters as `serializer` reads them; raises `Problem` 400, naming each as “?name”."""
        try:
            return _reader(serializer).run_validation(self.request.query_params)
        except ValidationError as wrong:
            errors = field_errors(wrong.detail)
            named = [FieldError("?" + error.field.removeprefix("/"), error.message, error.remedy) for error in errors]
            raise invalid_input(*named) from None

    def end_user_or_404(self, external_id: str) -> EndUser:
        """The workspace's end user whom the client calls so; raises `Problem` 404."""
        return found_or_404(end_user_by_external_id(workspace=self.workspace, external_id=external_id))

    def once(self, *, end_user: EndUser | None, create: Callable[[], dict[str, Any]]) -> tuple[dict[str, Any], bool]:
        """`common.api.idempotency.once` for this request: what `create` has made, and whether an earlier one made it.

        `create` runs in a transaction and returns the ids that the answer is rendered from. The answer to a repeated
        request says `Idempotency-Replayed: true`.
        """
        key = idempotency.key_of(self.request.headers)
        resource, self._replayed = idempotency.once(
            workspace_id=self.workspace.pk,
            key=key,
            fingerprint=b"" if key is None else self._fingerprint(),
            end_user_id=None if end_user is None else end_user.pk,
            create=create,
        )
        return resource, self._replayed

    def page(
        self,
        rows: QuerySet[Any],
        *,
        order: Sequence[str],
        render: Callable[[Any], Any],
        query: Mapping[str, Any] | None = None,
    ) -> Response:
        """One page of `rows` as the answer to a list.

        `order` is a keyset: columns of the rows' model, the last unique among them, each with "-" where it descends.
        A list with filters subclasses `PageQuery` and gives what `self.query` read of it as `query`.
        """
        return self.page_at_once(rows, order=order, render=lambda found: [render(row) for row in found], query=query)

    def page_at_once(
        self,
        rows: QuerySet[Any],
        *,
        order: Sequence[str],
        render: Callable[[list[Any]], list[Any]],
        query: Mapping[str, Any] | None = None,
    ) -> Response:
        """`page`, whose rows are rendered together where that saves statements."""
        asked = self.query(PageQuery) if query is None else query
        filters = sorted((name, str(value)) for name, value in asked.items() if name not in ("limit", "cursor"))
        found, cursor = page_of(
            rows,
            order=order,
            limit=asked["limit"],
            cursor=asked.get("cursor"),
            bound_to=list_name(self.workspace.pk, self.request.path, filters),
        )
        return Response({"data": render(found), "next_cursor": cursor})

    def _fingerprint(self) -> bytes:
        # Parsing is what reads the body.
        request = cast(ApiRequest, self.request)
        if inspect.isgenerator(request.data):
            raise invalid_input(
                FieldError(
                    idempotency.HEADER, "A body of JSON lines cannot have one.", "Leave it out, or send one JSON list."
                )
            )
        digest = request.body_digest or hashlib.sha256(b"").digest()
        return idempotency.fingerprint_of(
            method=str(self.request.method), path=self.request.get_full_path(), body_digest=digest
        )


_readers: dict[type[BaseSerializer], BaseSerializer] = {}


def _reader(serializer: type[BaseSerializer]) -> BaseSerializer:
    """One that reads every request: a serializer keeps nothing of what it reads, and takes long to make."""
    return _readers.get(serializer) or _readers.setdefault(serializer, serializer())
