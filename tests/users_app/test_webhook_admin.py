"""Webhooks in the admin: looked at, never edited, and without what their secrets are made of."""

import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse

from tests.webhooks import webhook
from users_app.webhook_signing import secret_of
from users_app.webhooks import send_ping

pytestmark = pytest.mark.usefixtures("loopback")


@pytest.fixture
def staff(client, db):
    client.force_login(get_user_model().objects.create_superuser("root", password="pw"))
    return client


def test_both_are_seen_and_nothing_is_changed(staff, workspace, receiver):
    endpoint = webhook(workspace, receiver.url)
    delivery = send_ping(endpoint=endpoint)
    for name, row in (("webhookendpoint", endpoint), ("webhookdelivery", delivery)):
        listed = staff.get(reverse(f"admin:users_app_{name}_changelist"))
        shown = staff.get(reverse(f"admin:users_app_{name}_change", args=[row.pk]))
        assert (listed.status_code, shown.status_code) == (200, 200)
        for page in (listed, shown):
            text = page.content.decode()
            assert secret_of(endpoint) not in text
            assert endpoint.secret_salt.hex() not in text
            assert "salt" not in text
        assert staff.get(reverse(f"admin:users_app_{name}_add")).status_code == 403
        assert staff.post(reverse(f"admin:users_app_{name}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403


def test_of_an_address_the_host_alone_is_shown_and_nothing_of_it_is_searched(staff, workspace, receiver):
    endpoint = webhook(workspace, f"{receiver.url}/its-secret-path")
    host, _, _ = receiver.url.partition("/hooks")
    listed = reverse("admin:users_app_webhookendpoint_changelist")
    for page in (listed, reverse("admin:users_app_webhookendpoint_change", args=[endpoint.pk])):
        text = staff.get(page).content.decode()
        assert host in text
        assert "its-secret-path" not in text
    assert staff.get(listed, {"q": "its-secret"}).context["cl"].result_count == 0
