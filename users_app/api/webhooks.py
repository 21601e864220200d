"""Webhooks: where a workspace is told that generations and jobs have ended, and what became of telling it."""

from collections.abc import Callable
from typing import Any, ClassVar, Final

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from common.addresses import MOST_CHARACTERS, Refused
from common.api.bounded_streams import Places
from common.api.pagination import PageQuery, page_schema
from common.api.problems import Problem, found_or_404
from common.api.serializers import BooleanField, ChoiceField, Invalid, ListField, StrictSerializer, StringField
from users_app.api.base import WorkspaceView
from users_app.models import Scope, WebhookDelivery, WebhookEndpoint
from users_app.webhook_events import event_types
from users_app.webhook_signing import secret_of
from users_app.webhooks import (
    StillPending,
    TooManyWebhooks,
    WebhookDisabled,
    change_webhook,
    check_url,
    create_webhook,
    delete_webhook,
    deliveries_of,
    redeliver,
    rotate_secret,
    send_ping,
    webhooks_of,
)

# Whoever serves a name may be slow on purpose, and each lookup holds a thread of the server meanwhile.
_LOOKUPS: Final = Places(4, busy="As many hosts are being looked up as this server takes. Try again.")
_EVENT_TYPES = [(known.name, known.description) for known in event_types()]


class WebhookSerializer(serializers.Serializer):
    """An endpoint that is told of events."""

    id = serializers.IntegerField(read_only=True)
    url = serializers.CharField(read_only=True)
    event_types = serializers.ListField(child=serializers.CharField(), read_only=True)
    enabled = serializers.SerializerMethodField(help_text="Whether it is told anything.")
    disabled_reason = serializers.SerializerMethodField(
        help_text="`asked`; `gone` where it has answered 410; `failing` after days of nothing but failures; `backlog` "
        "where too many deliveries waited; null where it is enabled."
    )
    disabled_at = serializers.DateTimeField(allow_null=True, read_only=True)
    failing_since = serializers.DateTimeField(
        allow_null=True, read_only=True, help_text="Since when there was no success; null where the last was one."
    )
    created_at = serializers.DateTimeField(read_only=True)
    created_by = serializers.CharField(
        source="created_by.name", default=None, allow_null=True, read_only=True, help_text="The API key that made it."
    )

    def get_enabled(self, endpoint: WebhookEndpoint) -> bool:
        return endpoint.disabled_at is None

    def get_disabled_reason(self, endpoint: WebhookEndpoint) -> str | None:
        return endpoint.disabled_reason or None


class WebhookWithSecret(WebhookSerializer):
    """An endpoint with its secret, which is shown here alone."""

    secret = serializers.CharField(
        read_only=True,
        allow_null=True,
        help_text="`whsec_…`: keep it, and check signatures with it. Null in the answer to a repeated request where "
        "there is a newer one.",
    )


class DeliverySerializer(serializers.Serializer):
    """One event that an endpoint was, or is to be, told of."""

    id = serializers.IntegerField(read_only=True)
    message_id = serializers.SerializerMethodField(help_text="The `webhook-id` header, the same each time it is sent.")
    event_type = serializers.CharField(read_only=True)
    subject_id = serializers.IntegerField(
        allow_null=True, read_only=True, help_text="The id of the generation or job; null for a ping."
    )
    state = serializers.ChoiceField(choices=WebhookDelivery.State.choices, read_only=True)
    attempts = serializers.IntegerField(read_only=True)
    next_attempt_at = serializers.DateTimeField(allow_null=True, read_only=True)
    status_code = serializers.IntegerField(
        allow_null=True, read_only=True, help_text="What the last attempt was answered with."
    )
    error = serializers.SerializerMethodField(
        help_text="Why there was no answer, or why it was dropped, in a word; null otherwise."
    )
    created_at = serializers.DateTimeField(read_only=True)
    finished_at = serializers.DateTimeField(allow_null=True, read_only=True)

    def get_message_id(self, delivery: WebhookDelivery) -> str:
        return f"msg_{delivery.message_id.hex}"

    def get_error(self, delivery: WebhookDelivery) -> str | None:
        return delivery.error or None


class _UrlField(StringField):
    """Where webhooks may go: its host is looked up."""

    def to_internal_value(self, data: Any) -> str:
        url = super().to_internal_value(data)
        place = _LOOKUPS.take()
        try:
            check_url(url)
        except Refused as refused:
            raise Invalid(refused.message, remedy=refused.remedy) from None
        finally:
            place.release()
        return url


def _url(**options: Any) -> _UrlField:
    return _UrlField(
        max_length=MOST_CHARACTERS,
        help_text="An https URL whose host is on the public internet, without user name and fragment.",
        **options,
    )


def _types(**options: Any) -> ListField:
    return ListField(
        child=ChoiceField(choices=_EVENT_TYPES),
        min_length=1,
        max_length=20,
        help_text="\n".join(f"- `{name}`: {description}" for name, description in _EVENT_TYPES),
        **options,
    )


class NewWebhook(StrictSerializer):
    """Where to tell of what."""

    url = _url()
    event_types = _types()
    enabled = BooleanField(default=True)


class WebhookChanges(StrictSerializer):
    """What shall be otherwise; the rest stays as it is."""

    url = _url(required=False)
    event_types = _types(required=False)
    enabled = BooleanField(required=False, help_text="Enabling it forgets its failures.")


class DeliveryFilters(PageQuery):
    """Which deliveries to list."""

    state = ChoiceField(choices=WebhookDelivery.State.choices, required=False, help_text="Those that stand so.")


def webhook_json(endpoint: WebhookEndpoint) -> dict[str, Any]:
    """An endpoint as the API shows it."""
    return WebhookSerializer(endpoint).data


def delivery_json(delivery: WebhookDelivery) -> dict[str, Any]:
    """A delivery as the API shows it."""
    return DeliverySerializer(delivery).data


class _WebhookView(WorkspaceView):
    def webhook_or_404(self, webhook_id: int) -> WebhookEndpoint:
        """The workspace's endpoint of that id; raises `Problem` 404."""
        found = webhooks_of(workspace=self.workspace).select_related("created_by").filter(pk=webhook_id)
        return found_or_404(found.first())

    def with_secret(self, made: dict[str, Any]) -> dict[str, Any]:
        """The endpoint that was made or given a secret, with that secret; raises `Problem` 404 where it is gone."""
        endpoint = self.webhook_or_404(made["webhook_id"])
        newest = endpoint.secret_number == made["secret_number"]
        return {**webhook_json(endpoint), "secret": secret_of(endpoint) if newest else None}


class WebhooksView(_WebhookView):
    scopes: ClassVar = {"GET": Scope.MANAGE, "POST": Scope.MANAGE}
    idempotent_methods: ClassVar = ("POST",)

    @extend_schema(
        operation_id="list_webhooks", parameters=[PageQuery], responses=page_schema(WebhookSerializer, name="Webhook")
    )
    def get(self, request: Request) -> Response:
        """List the webhooks, the newest first."""
        rows = webhooks_of(workspace=self.workspace).select_related("created_by")
        return self.page(rows, order=("-id",), render=webhook_json)

    @extend_schema(
        operation_id="create_webhook",
        request=NewWebhook,
        responses={
            201: OpenApiResponse(WebhookWithSecret, "It is told of what happens from now on; see `Location`."),
            409: OpenApiResponse(description="There are too many (`too-many-webhooks`)."),
        },
    )
    def post(self, request: Request) -> Response:
        """Make a webhook. The secret, by which you know that it is us who call, is shown in this answer alone."""
        body = self.body(NewWebhook)

        def create() -> dict[str, Any]:
            endpoint = create_webhook(workspace=self.workspace, created_by=self.api_key, by=self.actor, **body)
            return {"webhook_id": endpoint.pk, "secret_number": endpoint.secret_number}

        try:
            made, _ = self.once(end_user=None, create=create)
        except TooManyWebhooks as full:
            raise Problem(409, "too-many-webhooks", str(full)) from None
        headers = {"Location": f"{request.path}/{made['webhook_id']}", "Cache-Control": "no-store"}
        return Response(self.with_secret(made), status=201, headers=headers)


class WebhookView(_WebhookView):
    scopes: ClassVar = {"GET": Scope.MANAGE, "PATCH": Scope.MANAGE, "DELETE": Scope.MANAGE}

    @extend_schema(operation_id="get_webhook", responses=WebhookSerializer)
    def get(self, request: Request, webhook_id: int) -> Response:
        """Look at a webhook."""
        return Response(webhook_json(self.webhook_or_404(webhook_id)))

    @extend_schema(operation_id="change_webhook", request=WebhookChanges, responses=WebhookSerializer)
    def patch(self, request: Request, webhook_id: int) -> Response:
        """Change a webhook, disable it, or enable it again. It is not told of what happened while it was disabled."""
        endpoint = self.webhook_or_404(webhook_id)
        changed = change_webhook(endpoint=endpoint, changes=self.body(WebhookChanges), by=self.actor)
        return Response(webhook_json(changed))

    @extend_schema(operation_id="delete_webhook", responses={204: None})
    def delete(self, request: Request, webhook_id: int) -> Response:
        """Delete a webhook with its deliveries."""
        delete_webhook(endpoint=self.webhook_or_404(webhook_id), by=self.actor)
        return Response(status=204)


class WebhookSecretView(_WebhookView):
    scopes: ClassVar = {"POST": Scope.MANAGE}
    idempotent_methods: ClassVar = ("POST",)

    @extend_schema(operation_id="rotate_webhook_secret", request=None, responses=WebhookWithSecret)
    def post(self, request: Request, webhook_id: int) -> Response:
        """Give a webhook a new secret, shown in this answer alone. For a day the old one signs beside it."""
        endpoint = self.webhook_or_404(webhook_id)

        def create() -> dict[str, Any]:
            rotated = rotate_secret(endpoint=endpoint, by=self.actor)
            return {"webhook_id": rotated.pk, "secret_number": rotated.secret_number}

        made, _ = self.once(end_user=None, create=create)
        return Response(self.with_secret(made), headers={"Cache-Control": "no-store"})


class WebhookTestView(_WebhookView):
    scopes: ClassVar = {"POST": Scope.MANAGE}
    idempotent_methods: ClassVar = ("POST",)

    @extend_schema(
        operation_id="test_webhook",
        request=None,
        responses={
            202: OpenApiResponse(DeliverySerializer, "It is sent; see the deliveries for what is answered."),
            409: OpenApiResponse(
                description="The webhook is disabled (`webhook-disabled`), or many pings wait (`delivery-pending`)."
            ),
        },
    )
    def post(self, request: Request, webhook_id: int) -> Response:
        """Send a webhook an event `ping`."""
        endpoint = self.webhook_or_404(webhook_id)
        made, _ = self.once(end_user=None, create=lambda: _asked(lambda: send_ping(endpoint=endpoint)))
        delivery = found_or_404(deliveries_of(endpoint=endpoint).filter(pk=made["delivery_id"]).first())
        return Response(delivery_json(delivery), status=202)


class WebhookDeliveriesView(_WebhookView):
    scopes: ClassVar = {"GET": Scope.MANAGE}

    @extend_schema(
        operation_id="list_webhook_deliveries",
        parameters=[DeliveryFilters],
        responses=page_schema(DeliverySerializer, name="WebhookDelivery"),
    )
    def get(self, request: Request, webhook_id: int) -> Response:
        """List what a webhook was, or is to be, told, the newest first."""
        endpoint = self.webhook_or_404(webhook_id)
        query = self.query(DeliveryFilters)
        asked = {"state": query["state"]} if "state" in query else {}
        rows = deliveries_of(endpoint=endpoint).filter(**asked)
        return self.page(rows, order=("-id",), render=delivery_json, query=query)


class WebhookRedeliveryView(_WebhookView):
    scopes: ClassVar = {"POST": Scope.MANAGE}
    idempotent_methods: ClassVar = ("POST",)

    @extend_schema(
        operation_id="redeliver_webhook",
        request=None,
        responses={
            202: OpenApiResponse(DeliverySerializer, "It is sent once more."),
            409: OpenApiResponse(
                description="The webhook is disabled (`webhook-disabled`), or the delivery has not ended "
                "(`delivery-pending`)."
            ),
        },
    )
    def post(self, request: Request, webhook_id: int, delivery_id: int) -> Response:
        """Send a delivery that has ended once more, under the same `webhook-id`."""
        found = deliveries_of(endpoint=self.webhook_or_404(webhook_id)).select_related("endpoint")
        delivery = found_or_404(found.filter(pk=delivery_id).first())
        self.once(end_user=None, create=lambda: _asked(lambda: redeliver(delivery=delivery)))
        return Response(delivery_json(found_or_404(found.filter(pk=delivery_id).first())), status=202)


def _asked(ask: Callable[[], WebhookDelivery]) -> dict[str, Any]:
    """The id of the delivery that `ask` asks for, or the problem that it may raise."""
    try:
        return {"delivery_id": ask().pk}
    except WebhookDisabled as disabled:
        raise Problem(409, "webhook-disabled", str(disabled)) from None
    except StillPending as pending:
        raise Problem(409, "delivery-pending", str(pending)) from None
