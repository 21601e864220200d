"""`/webhooks`: what a program of a workspace does with its webhooks, and what it sees of deliveries."""

import socket
import threading
import time

import pytest
from django.db import connections

from jobs.services import JobSpec, cancel, enqueue
from tests.webhooks import webhook
from users_app.models import WebhookDelivery, WebhookEndpoint
from users_app.webhook_signing import secret_of
from users_app.webhooks import send_ping

URL = "/api/v1/webhooks"


@pytest.fixture
def body(receiver):
    return {"url": receiver.url, "event_types": ["generation.finished"]}


@pytest.fixture
def endpoint(workspace, receiver):
    return webhook(workspace, receiver.url)


def deliveries(api, endpoint, query=""):
    answer = api.get(f"{URL}/{endpoint.pk}/deliveries{query}")
    assert answer.status_code == 200, answer.json()
    return answer.json()["data"]


# Making


def test_one_is_made_and_its_secret_is_shown_once(api, workspace, body):
    answer = api.post(URL, body)
    assert answer.status_code == 201, answer.json()
    made = answer.json()
    endpoint = WebhookEndpoint.objects.get(workspace=workspace)
    assert made.pop("secret") == secret_of(endpoint)
    assert made.pop("created_at").endswith("Z")
    assert made == {
        "id": endpoint.pk,
        "url": body["url"],
        "event_types": ["generation.finished"],
        "enabled": True,
        "disabled_reason": None,
        "disabled_at": None,
        "failing_since": None,
        "created_by": "a program",
    }
    assert answer.headers["Location"] == f"{URL}/{endpoint.pk}"
    assert answer.headers["Cache-Control"] == "no-store"
    for seen in (api.get(URL), api.get(f"{URL}/{endpoint.pk}"), api.patch(f"{URL}/{endpoint.pk}", {"enabled": True})):
        assert seen.status_code == 200
        assert "secret" not in seen.content.decode()


@pytest.mark.django_db(transaction=True)
def test_names_that_are_slow_to_look_up_hold_few_of_the_server_s_threads(api_key, client_of, monkeypatch):
    """So that one workspace, whose name server never answers, does not keep all others waiting."""
    slow, getaddrinfo = threading.Event(), socket.getaddrinfo

    def look_up(host, *rest, **told):
        if host != "slow.example.com":
            return getaddrinfo(host, *rest, **told)
        slow.wait(30)
        return []

    monkeypatch.setattr("common.addresses.socket.getaddrinfo", look_up)
    made = {"url": "https://slow.example.com/", "event_types": ["job.finished"]}
    issued, answers = api_key(), []

    def ask():
        answers.append(client_of(issued).post(URL, made))
        connections.close_all()

    asking = [threading.Thread(target=ask) for _ in range(6)]
    for thread in asking:
        thread.start()
    deadline = time.monotonic() + 10
    while len(answers) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    refused = list(answers)
    slow.set()
    for thread in asking:
        thread.join()
    assert [(answer.status_code, answer.json()["type"].rpartition(":")[2]) for answer in refused] == [(503, "busy")] * 2
    assert sorted(answer.status_code for answer in answers) == [400] * 4 + [503] * 2


def test_a_repeated_request_makes_one_and_has_its_secret(api, body):
    first, again = (api.post(URL, body, headers={"Idempotency-Key": "k"}) for _ in range(2))
    assert (first.json(), again.status_code, again.headers["Idempotency-Replayed"]) == (again.json(), 201, "true")
    assert WebhookEndpoint.objects.count() == 1


def test_a_repeated_request_shows_no_secret_that_came_later(api, body):
    first = api.post(URL, body, headers={"Idempotency-Key": "k"})
    api.post(f"{URL}/{first.json()['id']}/rotate-secret")
    assert api.post(URL, body, headers={"Idempotency-Key": "k"}).json()["secret"] is None


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://example.com", "This is no https URL."),
        ("https://10.1.2.3/hooks", "The host's address is none of the public internet."),
        ("https://[::1]/hooks", "The host's address is none of the public internet."),
        ("http://93.184.216.34/hooks", "This is no https URL."),
        ("https://who:secret@93.184.216.34/", "This holds a user name or a password."),
        ("https://no-such-host.invalid/", "The host's name leads to no address."),
        ("", "This is an empty string."),
        ("https://93.184.216.34/" + "x" * 2_000, "This has more than 2,000 characters."),
    ],
)
def test_a_url_that_is_none_is_refused_with_a_remedy(api, body, url, message):
    answer = api.post(URL, {**body, "url": url})
    assert answer.status_code == 400, answer.json()
    [error] = answer.json()["errors"]
    assert (error["field"], error["message"]) == ("/url", message)
    assert error["remedy"]
    assert WebhookEndpoint.objects.count() == 0


@pytest.mark.parametrize("event_types", [[], ["ping"], ["generation.finished", "cake"], "job.finished", ["x"] * 21])
def test_event_types_that_are_none_are_refused(api, body, event_types):
    answer = api.post(URL, {**body, "event_types": event_types})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"].startswith("/event_types")


def test_there_is_a_most(api, body, settings):
    settings.WEBHOOKS_OF_A_WORKSPACE = 1
    assert api.post(URL, body).status_code == 201
    answer = api.post(URL, body)
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:lamppost:problem:too-many-webhooks")


# Looking and changing


def test_the_list_begins_with_the_newest(api, endpoint, workspace, receiver):
    newer = webhook(workspace, receiver.url)
    first = api.get(f"{URL}?limit=1").json()
    second = api.get(f"{URL}?limit=1&cursor={first['next_cursor']}").json()
    assert [row["id"] for row in first["data"] + second["data"]] == [newer.pk, endpoint.pk]


def test_one_is_changed_field_by_field(api, endpoint, receiver):
    address = f"{URL}/{endpoint.pk}"
    assert api.patch(address, {"url": receiver.url + "/new"}).json()["url"] == receiver.url + "/new"
    changed = api.patch(address, {"event_types": ["job.finished", "job.finished"]}).json()
    assert (changed["event_types"], changed["url"]) == (["job.finished"], receiver.url + "/new")
    disabled = api.patch(address, {"enabled": False}).json()
    assert (disabled["enabled"], disabled["disabled_reason"]) == (False, "asked")
    assert api.patch(address, {"enabled": True}).json()["disabled_reason"] is None


def test_a_changed_url_is_checked(api, endpoint):
    answer = api.patch(f"{URL}/{endpoint.pk}", {"url": "https://192.168.0.1/"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "/url")


def test_a_deleted_one_is_not_there(api, endpoint):
    assert api.delete(f"{URL}/{endpoint.pk}").status_code == 204
    assert api.get(f"{URL}/{endpoint.pk}").status_code == 404
    assert api.delete(f"{URL}/{endpoint.pk}").status_code == 404
    assert api.get(URL).json()["data"] == []


def test_a_rotation_shows_the_new_secret_and_repeating_it_rotates_once(api, endpoint):
    before = secret_of(endpoint)
    address = f"{URL}/{endpoint.pk}/rotate-secret"
    first, again = (api.post(address, headers={"Idempotency-Key": "k"}) for _ in range(2))
    assert first.status_code == 200
    assert first.json()["secret"] == again.json()["secret"] != before
    endpoint.refresh_from_db()
    assert (secret_of(endpoint), endpoint.secret_number) == (first.json()["secret"], 2)


@pytest.mark.parametrize("scope", ["profiles", "generate", "train", "read"])
def test_only_manage_will_do(api_key, client_of, endpoint, body, scope):
    client = client_of(api_key(scopes=[scope]))
    assert client.get(URL).status_code == 403
    assert client.post(URL, body).status_code == 403


# Deliveries


def test_a_ping_is_asked_for_and_seen(api, endpoint, deliver, receiver):
    asked = api.post(f"{URL}/{endpoint.pk}/test")
    assert (asked.status_code, asked.json()["state"], asked.json()["event_type"]) == (202, "pending", "ping")
    deliver()
    [seen] = deliveries(api, endpoint)
    assert (seen["id"], seen["state"], seen["attempts"], seen["status_code"]) == (
        asked.json()["id"],
        "delivered",
        1,
        204,
    )
    assert seen["message_id"] == receiver.received[0].headers["webhook-id"]


def test_a_ping_is_refused_where_it_is_disabled(api, endpoint):
    api.patch(f"{URL}/{endpoint.pk}", {"enabled": False})
    answer = api.post(f"{URL}/{endpoint.pk}/test")
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:lamppost:problem:webhook-disabled")


def test_deliveries_are_paged_and_filtered(api, endpoint, deliver):
    sent = [send_ping(endpoint=endpoint).pk for _ in range(3)]
    deliver()
    waiting = send_ping(endpoint=endpoint).pk
    assert [row["id"] for row in deliveries(api, endpoint)] == [waiting, *reversed(sent)]
    assert [row["id"] for row in deliveries(api, endpoint, "?state=pending")] == [waiting]
    first = api.get(f"{URL}/{endpoint.pk}/deliveries?state=delivered&limit=2").json()
    rest = deliveries(api, endpoint, f"?state=delivered&limit=2&cursor={first['next_cursor']}")
    assert [row["id"] for row in first["data"] + rest] == list(reversed(sent))
    assert api.get(f"{URL}/{endpoint.pk}/deliveries?state=lost").json()["errors"][0]["field"] == "?state"


def test_a_delivery_says_what_it_is_about(api, endpoint, workspace):
    job = enqueue(JobSpec(kind="import_dataset", workspace_id=workspace.pk))
    cancel(job.pk)
    [seen] = deliveries(api, endpoint)
    assert (seen["event_type"], seen["subject_id"], seen["state"]) == ("job.finished", job.pk, "pending")


def test_one_that_has_ended_is_sent_once_more(api, endpoint, deliver, receiver):
    delivery = send_ping(endpoint=endpoint)
    address = f"{URL}/{endpoint.pk}/deliveries/{delivery.pk}/redeliver"
    early = api.post(address)
    assert (early.status_code, early.json()["type"]) == (409, "urn:lamppost:problem:delivery-pending")
    deliver()
    again = api.post(address)
    assert (again.status_code, again.json()["state"], again.json()["attempts"]) == (202, "pending", 0)
    deliver()
    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


def test_a_delivery_of_another_webhook_is_not_there(api, endpoint, workspace, receiver):
    other = webhook(workspace, receiver.url)
    delivery = send_ping(endpoint=other)
    assert api.post(f"{URL}/{endpoint.pk}/deliveries/{delivery.pk}/redeliver").status_code == 404


def test_a_stranger_finds_none_of_it(stranger_api, endpoint):
    delivery = send_ping(endpoint=endpoint)
    for address in ("", "/deliveries"):
        assert stranger_api.get(f"{URL}/{endpoint.pk}{address}").status_code == 404
    for address in ("/test", "/rotate-secret", f"/deliveries/{delivery.pk}/redeliver"):
        assert stranger_api.post(f"{URL}/{endpoint.pk}{address}").status_code == 404
    assert stranger_api.delete(f"{URL}/{endpoint.pk}").status_code == 404
    assert WebhookDelivery.objects.count() == 1
