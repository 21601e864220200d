"""`/metrics`: who may read it, and what it says of requests, parts and jobs."""

import pytest
from django.test import Client

from common.monitoring import readiness
from jobs.services import JobSpec, enqueue_many
from tests.common.monitoring.scraping import scrape, value

TOKEN = "a-token-of-some-length"


@pytest.fixture(autouse=True)
def asked_anew(monkeypatch, transactional_db):
    """No answer of another test's."""
    probes = {name: readiness.Probe(probe.part) for name, probe in readiness._probes.items()}
    monkeypatch.setattr("common.monitoring.readiness._probes", probes)


def status(**headers):
    return Client().get("/metrics", **headers).status_code


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_without_a_token_this_machine_may_read(address):
    assert status(REMOTE_ADDR=address) == 200


@pytest.mark.parametrize("address", ["10.0.0.7", "93.184.216.34", "", "unix:"])
def test_without_a_token_nobody_else_may(address):
    assert status(REMOTE_ADDR=address) == 403


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"])
def test_a_proxy_on_this_machine_opens_nothing(header):
    answer = Client(headers={header: "127.0.0.1"}).get("/metrics")
    assert answer.status_code == 403


def test_behind_tls_a_token_is_needed(settings):
    settings.HTTPS = True
    assert status() == 403


class TestWithAToken:
    @pytest.fixture(autouse=True)
    def token(self, settings):
        settings.METRICS_TOKEN = TOKEN

    def test_whoever_sends_it_may_read_from_anywhere(self):
        answer = Client(headers={"Authorization": f"Bearer {TOKEN}"}).get("/metrics", REMOTE_ADDR="93.184.216.34")
        assert (answer.status_code, answer.headers["Content-Type"].split(";")[0]) == (200, "text/plain")

    @pytest.mark.parametrize("sent", [None, "", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer ", "Bearer é"])
    def test_nobody_else_may_not_even_this_machine(self, sent):
        answer = Client(headers={} if sent is None else {"Authorization": sent}).get("/metrics")
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert TOKEN not in answer.content.decode()

    def test_an_api_key_is_no_token(self, api):
        assert api.get("/metrics").status_code == 401


def test_requests_are_counted_by_route_and_name_nobody(api):
    before = scrape()
    api.get("/api/v1/users/alice-whom-nobody-may-know")
    Client().get("/no-such-page-as-alice")
    api.generic("ALICE", "/api/v1/users/bob")
    after = scrape()

    def more(**labels):
        name = "lamppost_http_request_seconds_count"
        return value(after, name, **labels) - value(before, name, **labels)

    assert more(route="api/v1/users/<external:user_id>", method="GET", status="4xx") == 1
    assert more(route="api/v1/users/<external:user_id>", method="OTHER") == 1
    assert more(route="unmatched") == 1
    assert "alice" not in str(after).lower()


def test_parts_that_are_up_are_told():
    families = scrape()
    assert [value(families, "lamppost_part_up", part=part) for part in ("database", "broker", "object-store")] == [
        1
    ] * 3
    assert value(families, "lamppost_part_up", part="workers") == 0


def test_without_the_database_the_parts_are_told_all_the_same(monkeypatch):
    def away():
        raise OSError

    monkeypatch.setitem(readiness._probes, "database", readiness.Probe(readiness.Part(name="database", ask=away)))
    answer = Client().get("/metrics")
    assert answer.status_code == 200
    assert 'lamppost_part_up{part="database"} 0.0' in answer.content.decode()
    assert "jobs_waiting" not in answer.content.decode()


def test_jobs_that_wait_are_counted_by_queue_and_kind():
    enqueue_many([JobSpec(kind="finish_erasure", payload={"receipt_id": number}) for number in range(3)])
    enqueue_many([JobSpec(kind="finish_erasure", payload={"receipt_id": 9}, delay_seconds=3600)])
    families = scrape()
    of_kind = {"queue": "cpu", "kind": "finish_erasure"}
    assert value(families, "lamppost_jobs_waiting", **of_kind) == 3
    assert 0 < value(families, "lamppost_jobs_oldest_waiting_seconds", **of_kind) < 60
    assert value(families, "lamppost_jobs_running", **of_kind) == 0


def test_no_label_names_a_user_a_workspace_or_a_document():
    known = {
        "le", "route", "method", "status", "part", "queue", "kind", "outcome", "retriever", "family", "direction",
        "place", "version",
    }  # fmt: skip
    families = scrape()
    assert {label for family in families.values() for sample in family.samples for label in sample.labels} <= known
