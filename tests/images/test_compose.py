"""What docker-compose.yml promises of each container."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from images import secret_files
from jobs.kinds import MODEL_QUEUES, QUEUES
from jobs.local import beat_command, stop_seconds, worker_command
from tests.images import topology
from tests.servers import REPOSITORY

SERVICES = topology.services()
ONE_SHOT = {"migrate", "minio-volume", "backup"}
SERVERS = {"postgres", "redis", "minio"}
WORKERS = {name for name in SERVICES if name.startswith("worker-")}
OURS = {"migrate", "backup", "web", "beat", *WORKERS}


def each(names):
    return pytest.mark.parametrize("name", sorted(names))


def seconds(text):
    return float(re.fullmatch(r"(\d+)s", text)[1])


def test_it_holds_what_a_production_needs():
    assert {"migrate", "web", "beat", "worker-cpu", "worker-gpu"} | SERVERS <= set(SERVICES)


@each(SERVICES)
def test_each_container_can_do_little_beside_its_work(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["init"] is True


@each(set(SERVICES) - {"minio-volume"})
def test_nobody_is_root(name):
    assert topology.with_defaults(SERVICES[name]["user"]).partition(":")[0] not in ("0", "root", "")
    assert "cap_add" not in SERVICES[name]


def test_whoever_gives_a_volume_away_can_do_nothing_else():
    service = SERVICES["minio-volume"]
    assert (service["cap_add"], service["network_mode"]) == (["CHOWN"], "none")
    assert "secrets" not in service
    assert "environment" not in service


@each(set(SERVICES) - ONE_SHOT)
def test_what_ends_is_started_again(name):
    assert SERVICES[name]["restart"] == "unless-stopped"


@each(set(SERVICES) - ONE_SHOT - {"beat"})
def test_each_is_asked_how_it_is(name):
    assert {"test", "interval", "timeout", "retries", "start_period"} <= set(SERVICES[name]["healthcheck"])


@each({"web", "beat", *WORKERS})
def test_nobody_starts_before_the_tables_are_there(name):
    assert SERVICES[name]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}


def test_the_tables_wait_for_those_servers_that_run_here():
    assert SERVICES["migrate"]["depends_on"] == {
        name: {"condition": "service_healthy", "required": False} for name in SERVERS
    }


@each(SERVERS)
def test_a_server_keeps_its_data_and_can_be_another(name):
    service = SERVICES[name]
    [volume] = service["volumes"]
    assert volume.partition(":")[0] == f"{name}-data"
    assert "/" in topology.with_defaults(service["image"]) or name == "redis"
    assert service["image"].startswith("${" + name.upper() + "_IMAGE")
    assert service["profiles"] == [name]


@each(WORKERS)
def test_a_worker_has_the_time_that_a_soft_stop_takes(name):
    assert seconds(SERVICES[name]["stop_grace_period"]) >= stop_seconds() + 10


@pytest.fixture
def logs_as_in_compose(settings):
    settings.LOG_FORMAT = topology.set_there()["LOG_FORMAT"]


@pytest.mark.usefixtures("logs_as_in_compose")
@each(WORKERS)
def test_a_worker_is_started_as_everywhere(name):
    command = [topology.with_defaults(part) for part in SERVICES[name]["command"]]
    told = {flag: command[command.index(flag) + 1] for flag in ("--queues", "--concurrency", "--pool")}
    expected = worker_command(
        queues=told["--queues"].split(","), concurrency=int(told["--concurrency"]), pool=told["--pool"], name="worker"
    )
    assert told["--pool"] == ("solo" if name == "worker-gpu" else "prefork")
    assert sorted(_like_compose(expected)) == sorted(command)


@pytest.mark.usefixtures("logs_as_in_compose")
def test_beat_is_started_as_everywhere():
    assert sorted(_like_compose(beat_command())) == sorted(SERVICES["beat"]["command"])


@pytest.mark.parametrize("profile", ["cpu-models", "gpu"])
def test_with_either_profile_every_queue_is_served(profile):
    served = set()
    for name in WORKERS:
        if SERVICES[name].get("profiles", [profile]) == [profile]:
            command = SERVICES[name]["command"]
            served |= set(command[command.index("--queues") + 1].split(","))
    assert served == set(QUEUES) == {"cpu", *MODEL_QUEUES}


@each(SERVICES)
def test_a_secret_comes_from_a_file_that_the_container_is_given(name):
    environment = SERVICES[name].get("environment", {})
    files = [topology.with_defaults(value) for key, value in environment.items() if key.endswith("_FILE")]
    assert {path.removeprefix("/run/secrets/") for path in files} <= set(SERVICES[name].get("secrets", []))
    assert not {secret.upper() for secret in secret_files.SECRETS} & set(environment)


def test_every_secret_is_made_by_make_secrets():
    declared = yaml.safe_load(topology.COMPOSE.read_text())["secrets"]
    assert set(declared) == set(secret_files.SECRETS)
    for name, secret in declared.items():
        assert topology.with_defaults(secret["file"]) == f"./secrets/{name}"


@each({"postgres", "redis"})
def test_nobody_outside_reaches_the_database_and_the_broker(name):
    networks = yaml.safe_load(topology.COMPOSE.read_text())["networks"]
    assert SERVICES[name]["networks"] == ["inside"]
    assert networks["inside"] == {"internal": True}
    assert "ports" not in SERVICES[name]


def test_what_is_published_is_so_for_this_machine_alone_unless_told():
    for name in SERVICES:
        for port in SERVICES[name].get("ports", []):
            assert topology.with_defaults(port).startswith("127.0.0.1:")


@each({"migrate", "web", "beat"})
def test_what_needs_no_model_runs_in_the_image_without_torch(name):
    assert SERVICES[name]["build"]["dockerfile"] == "platform/images/web.Dockerfile"


@each(OURS)
def test_images_are_built_here_and_can_be_pulled_from_nobody_else(name):
    service = SERVICES[name]
    assert (REPOSITORY / service["build"]["dockerfile"]).is_file()
    assert topology.with_defaults(service["image"]).startswith("lamppost-")
    assert "/" not in topology.with_defaults(service["image"])


def test_the_gpu_is_optional():
    assert SERVICES["worker-gpu"]["profiles"] == ["gpu"]
    [device] = SERVICES["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]


@pytest.mark.parametrize("profiles", ["postgres,redis,minio,cpu-models", "postgres,redis,minio,gpu", "cpu-models"])
def test_compose_itself_takes_it(profiles, tmp_path):
    client = _compose()
    if client is None:
        pytest.skip("needs Docker Compose 2.20 or newer")
    for path in (topology.COMPOSE, topology.EXAMPLE):
        shutil.copy(path, tmp_path / path.name)
    (tmp_path / ".env.example").rename(tmp_path / ".env")
    answer = subprocess.run(
        [*client, "config", "--quiet"],
        cwd=tmp_path,
        # Compose may be a plugin that lies in the home directory.
        env={name: os.environ[name] for name in ("PATH", "HOME")} | {"COMPOSE_PROFILES": profiles},
        capture_output=True,
        text=True,
    )
    assert (answer.returncode, answer.stderr) == (0, "")


def _compose():
    """How Docker Compose is called here, None where there is none that is new enough."""
    for client in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(client[0]) is None:
            continue
        answer = subprocess.run([*client, "version", "--short"], capture_output=True, text=True)
        found = re.match(r"v?(\d+)\.(\d+)", answer.stdout)
        if answer.returncode == 0 and found and (int(found[1]), int(found[2])) >= (2, 20):
            return client
    return None


def _like_compose(command):
    """A command line of ours as compose writes it: the program by its name, its app in full."""
    _python, _module, *rest = command
    return ["--app" if part == "-A" else part for part in rest]


def test_the_folder_of_secrets_is_kept_out_of_the_repository_and_of_images():
    ignored = (REPOSITORY / ".gitignore").read_text().splitlines()
    assert {"secrets/", ".env"} <= set(ignored)
    assert Path(topology.with_defaults("${SECRETS_FOLDER:-./secrets}")) == Path("secrets")
