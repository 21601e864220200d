"""How a webhook says who sends it: signatures as the Standard Webhooks specification has them.

A secret is derived from the installation's key and a random salt in the endpoint's row. So it can be computed whenever
something is to be signed, and a copy of the database alone signs nothing.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable
from typing import Final

from django.conf import settings
from django.utils import timezone
from django.utils.crypto import salted_hmac

from users_app.models import WebhookEndpoint

SALT_BYTES: Final = 32
_PURPOSE: Final = "users_app.webhook_signing"
_PREFIX: Final = "whsec_"


def secret_of(endpoint: WebhookEndpoint) -> str:
    """The secret as its receiver is given it: `whsec_` and the key's bytes in base64."""
    return _PREFIX + base64.b64encode(_key(bytes(endpoint.secret_salt), settings.SECRET_KEY)).decode()


def signed_headers(endpoint: WebhookEndpoint, *, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers that let a receiver check `body`. `timestamp` (seconds) is that of the attempt.

    There is a signature by each secret that counts now: the one before the last rotation too, until its time, and those
    of the installation's earlier keys (`SECRET_KEY_FALLBACKS`).
    """
    signed = b"%s.%d.%s" % (message_id.encode(), timestamp, body)
    signatures = (hmac.new(key, signed, hashlib.sha256).digest() for key in _keys(endpoint))
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{base64.b64encode(one).decode()}" for one in signatures),
    }


def _keys(endpoint: WebhookEndpoint) -> Iterable[bytes]:
    salts = [bytes(endpoint.secret_salt)]
    until = endpoint.previous_until
    if endpoint.previous_salt is not None and until is not None and until > timezone.now():
        salts.append(bytes(endpoint.previous_salt))
    for secret_key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        for salt in salts:
            yield _key(salt, secret_key)


def _key(salt: bytes, secret_key: str) -> bytes:
    return salted_hmac(_PURPOSE, salt, secret=secret_key, algorithm="sha256").digest()
