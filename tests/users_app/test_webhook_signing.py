"""Signatures, checked by what the documentation tells clients to do, and by the specification's own example."""

import base64
import hashlib
import hmac
import re
import time

import pytest

from tests.servers import REPOSITORY
from tests.webhooks import webhook
from users_app import webhook_signing
from users_app.models import WebhookEndpoint
from users_app.webhook_signing import secret_of, signed_headers
from users_app.webhooks import send_ping


@pytest.fixture
def is_ours():
    """The check of docs/api.md."""
    text = (REPOSITORY / "docs" / "api.md").read_text()
    [code] = re.findall(r"```python\n(import base64.*?)```", text, re.DOTALL)
    namespace = {}
    exec(code, namespace)
    return namespace["is_ours"]


def test_a_call_passes_the_documented_check(is_ours, workspace, receiver, deliver):
    endpoint = webhook(workspace, receiver.url)
    send_ping(endpoint=endpoint)
    deliver()
    [call] = receiver.received
    assert is_ours(secret_of(endpoint), call.headers, call.body)
    assert not is_ours(secret_of(endpoint), call.headers, call.body + b" ")
    assert not is_ours(secret_of(endpoint), {**call.headers, "webhook-id": "msg_1"}, call.body)
    old = {**call.headers, "webhook-timestamp": str(int(time.time()) - 3_600)}
    assert not is_ours(secret_of(endpoint), old, call.body)


def test_it_signs_as_the_specifications_example(monkeypatch):
    secret = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    monkeypatch.setattr(webhook_signing, "_key", lambda *_: base64.b64decode(secret))
    headers = signed_headers(
        WebhookEndpoint(secret_salt=b"salt"),
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp=1614265330,
        body=b'{"test": 2432232314}',
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_secret_is_as_long_as_the_specification_wants_and_no_two_are_alike(workspace, loopback):
    secrets = [secret_of(webhook(workspace, "http://127.0.0.1:9/")) for _ in range(3)]
    assert len(set(secrets)) == 3
    for secret in secrets:
        assert re.fullmatch(r"whsec_[A-Za-z0-9+/]+=*", secret)
        assert 24 <= len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) <= 64


def test_the_salt_alone_signs_nothing(workspace, loopback):
    endpoint = webhook(workspace, "http://127.0.0.1:9/")
    headers = signed_headers(endpoint, message_id="m", timestamp=1, body=b"{}")
    for guess in (bytes(endpoint.secret_salt), hashlib.sha256(bytes(endpoint.secret_salt)).digest()):
        signature = base64.b64encode(hmac.new(guess, b"m.1.{}", hashlib.sha256).digest()).decode()
        assert signature not in headers["webhook-signature"]
