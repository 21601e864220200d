"""What every test may use: two people of one workspace, and a third who must never see a thing of theirs."""

import pytest
from hypothesis import HealthCheck, settings

# A property is no measurement: on a machine that is busy with something else, an example may take a second.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# Of these an experiment is made.
KINDS = ("record_provenance", "advance_experiment", "embed_documents", "train_adapter", "generate", "score_run")

# What needs Django is imported where it is used: pure tests run without it.


@pytest.fixture
def workspace(db):
    from tests import people

    return people.workspace("acme")


@pytest.fixture
def alice(workspace):
    from tests import people

    return people.person(workspace, "alice", people.OF_ALICE)


@pytest.fixture
def bob(workspace):
    from tests import people

    return people.person(workspace, "bob", people.OF_BOB)


@pytest.fixture
def mallory(db):
    """Somebody of another workspace."""
    from tests import people

    return people.person(people.workspace("elsewhere"), "mallory", people.OF_MALLORY)


@pytest.fixture
def dev(alice, bob):
    """The dev split of Alice's and Bob's tweets."""
    from tests import people

    return people.split_of(people.questions_of(alice, bob))


@pytest.fixture
def in_process(db, settings):
    """Run every waiting job of these kinds here, until none is left; how many batches there were. No broker needed."""
    from jobs.runner import run_waiting
    from workers import embedding, generating, training  # noqa: F401 (loaded before a lease counts)

    # A heart sees nothing of what the test's transaction has not committed.
    settings.JOBS_HEARTBEAT_SECONDS = settings.JOBS_PROGRESS_SECONDS = 3600
    settings.JOBS_BACKOFF_SECONDS = 0

    def drive(*kinds: str) -> int:
        return run_waiting(kinds or KINDS)

    return drive


@pytest.fixture(scope="session")
def ceph_gateway(tmp_path_factory):
    """A second S3 server, where it is installed."""
    from tests.ceph import missing_programs, running_gateway

    if missing := missing_programs():
        pytest.skip(f"not installed: {', '.join(missing)} (Debian: radosgw, ceph-mon, ceph-osd)")
    with running_gateway(tmp_path_factory.mktemp("ceph")) as gateway:
        yield gateway


@pytest.fixture(params=["rclone", pytest.param("ceph", marks=[pytest.mark.long, pytest.mark.timeout(600)])])
def every_s3_server(request, settings):
    """One S3 server after the other is the object store: the embedded one, and Ceph's gateway where it is installed."""
    if request.param == "ceph":
        gateway = request.getfixturevalue("ceph_gateway")
        settings.S3_ENDPOINT = settings.S3_PUBLIC_ENDPOINT = gateway.endpoint
        settings.S3_ACCESS_KEY, settings.S3_SECRET_KEY = gateway.access_key, gateway.secret_key
    return request.param


@pytest.fixture
def sources_deleted(db):
    """What imports that never ended have left in the object store goes with the test, as their jobs do."""
    from common.objects import get_store

    yield
    get_store().delete_prefix("imports/")


@pytest.fixture
def api_key(workspace):
    """Make API keys, of acme and with every scope unless told: `api_key(scopes=["read"]).token`."""
    from users_app.api_keys import create_api_key
    from users_app.models import Scope

    def make(**told):
        return create_api_key(**{"workspace": workspace, "name": "a program", "scopes": Scope.values, **told})

    return make


@pytest.fixture
def client_of():
    """An HTTP client that sends an issued key, or with None no key at all."""
    from rest_framework.test import APIClient

    def client(issued):
        headers = {} if issued is None else {"authorization": f"Bearer {issued.token}"}
        return APIClient(headers=headers)

    return client


@pytest.fixture
def api(api_key, client_of):
    """A program of acme that may do everything."""
    return client_of(api_key())


@pytest.fixture
def stranger_api(api_key, client_of, mallory):
    """A program of Mallory's workspace that may do everything there."""
    return client_of(api_key(workspace=mallory.workspace))


@pytest.fixture
def loopback(settings):
    """Webhooks may go to this machine."""
    from ipaddress import ip_network

    settings.WEBHOOK_ALLOWED_NETWORKS = (ip_network("127.0.0.0/8"),)


@pytest.fixture
def receiver(loopback):
    """Somebody who listens to webhooks."""
    from tests.receivers import receiving

    with receiving() as one:
        yield one


@pytest.fixture
def deliver(in_process):
    """Send the webhooks that are due until none is; how many batches there were."""
    return lambda: in_process("deliver_webhook")


@pytest.fixture
def no_pauses(monkeypatch):
    """A webhook that failed is sent again at once, three times."""
    monkeypatch.setattr("users_app.webhook_deliveries.PAUSES_SECONDS", (0.0, 0.0, 0.0))
    monkeypatch.setattr("users_app.webhook_deliveries.REST_SECONDS", 0.0)
