"""API keys: made, revoked, and recognised.

A key is `lp_`, twelve hexadecimal digits by which it is looked up, `_`, and a secret of 32 random bytes. Of the secret
its SHA-256 is kept: a slow hash protects what people choose, and nobody can guess 256 random bits however fast the
hash is, while every request would pay for a slow one.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import BooleanField, Case, Q, Value, When
from django.db.models.functions import Now
from django.utils import timezone

from common.compiled_queries import CompiledQuery
from users_app.audit import INSTALLATION, Actor, record
from users_app.models import ApiKey, AuditEntry, Scope, Workspace

_FORM: Final = re.compile(r"(lp_[0-9a-f]{12})_([A-Za-z0-9_-]{43})\Z")
_LIVE: Final = Q(revoked_at__isnull=True) & (Q(expires_at__isnull=True) | Q(expires_at__gt=Now()))
_NOTED: Final = Q(last_used_at__gt=Now() - timedelta(minutes=1))

_LIVE_BY_PREFIX: Final = CompiledQuery(
    lambda prefix: (
        ApiKey.objects.filter(_LIVE, prefix=prefix)
        .select_related("workspace")
        .annotate(use_is_noted=Case(When(_NOTED, then=Value(True)), default=Value(False), output_field=BooleanField()))
    ),
    ApiKey._meta.get_field("prefix"),
)


class KeyRefused(ValueError):
    """The key cannot be made as asked; the message says why."""

    safe_message = True


@dataclass(frozen=True)
class IssuedKey:
    """A new key, and the only time that it can be read."""

    key: ApiKey
    token: str = field(repr=False)


def create_api_key(
    *,
    workspace: Workspace,
    name: str,
    scopes: Collection[str],
    expires_at: datetime | None = None,
    requests_per_minute: int | None = None,
    by: Actor = INSTALLATION,
) -> IssuedKey:
    """Make a key of `workspace`. Raises `KeyRefused`."""
    unknown = sorted(set(scopes) - set(Scope.values))
    if unknown or not scopes:
        wrong = f"There is no scope {', '.join(unknown)}." if unknown else "A key needs a scope."
        raise KeyRefused(f"{wrong} Choose of: {', '.join(Scope.values)}.")
    if expires_at is not None and expires_at <= timezone.now():
        raise KeyRefused("The key would have expired already. Choose a later time.")
    prefix = f"lp_{secrets.token_hex(6)}"
    secret = secrets.token_urlsafe(32)
    key = ApiKey(
        workspace=workspace,
        name=name,
        prefix=prefix,
        secret_digest=_digest(secret),
        scopes=[scope for scope in Scope.values if scope in scopes],
        requests_per_minute=requests_per_minute,
        expires_at=expires_at,
    )
    try:
        key.full_clean(exclude=["workspace", "secret_digest"])
    except ValidationError as error:
        raise KeyRefused(" ".join(error.messages)) from None
    with transaction.atomic():
        key.save(force_insert=True)
        details = {"name": name, "scopes": key.scopes}
        record(workspace=workspace, action=AuditEntry.Action.API_KEY_CREATED, by=by, subject=prefix, details=details)
    return IssuedKey(key, f"{prefix}_{secret}")


@transaction.atomic
def revoke_api_key(*, key: ApiKey, by: Actor = INSTALLATION) -> bool:
    """Let `key` be accepted no more; False where it was revoked before."""
    revoked = ApiKey.objects.filter(pk=key.pk, revoked_at__isnull=True).update(revoked_at=Now()) == 1
    if revoked:
        details = {"name": key.name}
        record(
            workspace=key.workspace,
            action=AuditEntry.Action.API_KEY_REVOKED,
            by=by,
            subject=key.prefix,
            details=details,
        )
    return revoked


def recognise(token: str) -> ApiKey | None:
    """The live key that `token` is, with its workspace; None for one that is unknown, expired or revoked.

    Its use is noted, at most once a minute.
    """
    form = _FORM.match(token)
    if form is None:
        return None
    prefix, secret = form.groups()
    found: Any = _LIVE_BY_PREFIX.first(prefix)
    if found is None or not hmac.compare_digest(bytes(found.secret_digest), _digest(secret)):
        return None
    if not found.use_is_noted:
        # Of several requests in one moment, one writes.
        ApiKey.objects.filter(~_NOTED, pk=found.pk).update(last_used_at=Now())
    key: ApiKey = found
    return key


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
