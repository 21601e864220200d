"""Who asks: a program with an API key. Sessions and cookies count for nothing here."""

from dataclasses import dataclass
from typing import Final

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from common.api.problems import Problem
from users_app.api_keys import recognise
from users_app.models import ApiKey

_CHALLENGE: Final = {"WWW-Authenticate": "Bearer"}


@dataclass(frozen=True)
class ApiClient:
    """What stands as `request.user`: the program that holds a key. No person, and no user of the admin."""

    key: ApiKey
    is_authenticated: bool = True
    is_anonymous: bool = False
    is_active: bool = True

    @property
    def pk(self) -> int:
        return self.key.pk


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer lp_…`."""

    def authenticate(self, request: Request) -> tuple[ApiClient, ApiKey]:
        """The client and its key; raises the same `Problem` 401 for any key that is not accepted."""
        scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").strip().partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Problem(
                401, "not-authenticated", "Send an API key: “Authorization: Bearer lp_…”.", headers=_CHALLENGE
            )
        key = recognise(token.strip())
        if key is None:
            raise Problem(
                401,
                "not-authenticated",
                "This API key is not accepted. Check it, or have a new one made.",
                headers=_CHALLENGE,
            )
        return ApiClient(key), key

    def authenticate_header(self, request: Request) -> str:
        return _CHALLENGE["WWW-Authenticate"]
