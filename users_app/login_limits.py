"""How often passwords may be tried, at the login of the pages and of the admin alike."""

import hashlib
from typing import Any, Final

from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from common.api.problems import Problem
from common.api.rate_limits import count_request

ATTEMPTS_A_MINUTE: Final = 20


class LimitedLogins:
    """Before Django's own backend, which knows the people: ends the attempt where there were too many.

    Counted for a name, whoever tries, so that no list of addresses helps; where Redis is away nobody is counted.
    """

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, **credentials: Any
    ) -> AbstractBaseUser | None:
        """Nobody; raises PermissionDenied, by which Django asks no other backend."""
        if request is None or not username:
            return None
        name = hashlib.sha256(username.casefold().encode(errors="replace")).hexdigest()[:32]
        try:
            count_request(f"login:{name}", per_minute=ATTEMPTS_A_MINUTE)
        except Problem:
            raise PermissionDenied from None
        return None
