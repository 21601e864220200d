"""Who did what that somebody may be asked about: exports, erasures, keys, members, imports, quotas, webhooks.

The service that does it records it in the same transaction, and is told by its caller who asks: as `by`, one of the
actors made here. An entry holds nothing of a person but the reference that erasing them clears; `details` are names
and numbers of the installation's own.
"""

import os
import pwd
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now
from django.http import HttpRequest

from common.api.request_ids import request_id
from users_app.models import ApiKey, AuditEntry, EndUser, Workspace

_NAME_LENGTH: Final = 150
# A client's own words for a request may say whom it is about.
_SAYS_NOTHING: Final = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}\Z", re.IGNORECASE)
_CHUNK: Final = 1_000
_CHUNKS_AT_ONCE: Final = 20


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Who asks for something."""

    kind: AuditEntry.ActorKind
    name: str = ""
    key_prefix: str = ""
    staff_id: int | None = None
    request_id: str = ""


INSTALLATION: Final = Actor(kind=AuditEntry.ActorKind.INSTALLATION)
"""Nobody in particular: a job, a sweep, a script."""


def actor_of_key(key: ApiKey, *, request: HttpRequest | None) -> Actor:
    """The program that sends `request` with this key."""
    kind = AuditEntry.ActorKind.API_KEY
    return Actor(kind=kind, name=key.name, key_prefix=key.prefix, request_id=_request_id(request))


def actor_of_staff(request: HttpRequest) -> Actor:
    """The member of staff who sends `request` to the admin."""
    user = request.user
    assert user.pk is not None
    kind = AuditEntry.ActorKind.STAFF
    return Actor(kind=kind, name=user.get_username(), staff_id=user.pk, request_id=_request_id(request))


def actor_of_command() -> Actor:
    """Whoever runs this process, by the operating system's word rather than the environment's."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        # Containers run under numbers that no file names.
        name = f"uid {os.getuid()}"
    return Actor(kind=AuditEntry.ActorKind.COMMAND, name=name)


def record(
    *,
    workspace: Workspace,
    action: AuditEntry.Action,
    by: Actor,
    end_user: EndUser | None = None,
    subject: str = "",
    details: Mapping[str, Any] | None = None,
) -> AuditEntry:
    """Note that `by` does this. Call it in the transaction in which it is done."""
    return AuditEntry.objects.create(
        workspace=workspace,
        action=action,
        actor=by.kind,
        actor_name=by.name[:_NAME_LENGTH],
        key_prefix=by.key_prefix,
        staff_id=by.staff_id,
        request_id=by.request_id,
        end_user=end_user,
        subject=subject,
        details=dict(details or {}),
    )


def sweep_audit() -> None:
    """Forget what is past its retention: a sweep."""
    forget_old_entries()


def forget_old_entries() -> int:
    """Delete what is older than `AUDIT_RETENTION_DAYS`, in short transactions; how many entries that were."""
    if not settings.AUDIT_RETENTION_DAYS:
        return 0
    old = AuditEntry.objects.filter(at__lt=Now() - timedelta(days=settings.AUDIT_RETENTION_DAYS)).order_by("at")
    forgotten = 0
    for _ in range(_CHUNKS_AT_ONCE):
        with transaction.atomic(), connection.cursor() as cursor:
            # The trigger that keeps entries lets this transaction delete.
            cursor.execute("SELECT set_config('lamppost.forget_audit', 'on', true)")
            deleted, _ = AuditEntry.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:_CHUNK])).delete()
            cursor.execute("SELECT set_config('lamppost.forget_audit', '', true)")
        forgotten += deleted
        if deleted < _CHUNK:
            break
    return forgotten


def _request_id(request: HttpRequest | None) -> str:
    """The request's name where it is one of ours, or a UUID; else nothing, for what an entry says is kept."""
    name = request_id(request)
    return name if _SAYS_NOTHING.match(name) else ""
