import http.client
import importlib.util
import multiprocessing
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from embedded import stack, wheels
from embedded.errors import StackError
from tests.processes import kill_all
from tests.stacks import as_unprivileged_user, processes_below

SERVERS = ("postgres", "redis", "s3")


def pids(root: Path) -> dict[str, int | None]:
    return {server.name: server.pid for server in stack.status(root)}


def running(root: Path) -> list[str]:
    return [server.name for server in stack.status(root) if server.running]


def execute(endpoints: stack.Endpoints, statement: str) -> list[tuple]:
    with psycopg.connect(endpoints.database_url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def up(root: Path) -> stack.Endpoints:
    return stack.up(root, durable=False)


def test_up_brings_up_three_servers_that_answer_and_records_them_privately(empty_root):
    assert stack.recorded(empty_root) is None

    endpoints = up(empty_root)

    assert running(empty_root) == ["postgres", "redis", "s3"]
    assert stack.recorded(empty_root) == endpoints
    assert stat.S_IMODE((empty_root / "stack.json").stat().st_mode) == 0o600
    assert execute(endpoints, "SHOW server_version_num")[0][0] >= "180000"
    execute(endpoints, "CREATE EXTENSION vector")
    assert execute(endpoints, "SELECT '[1,2]'::vector <#> '[3,4]'::vector") == [(-11.0,)]


def test_no_secret_stands_in_a_command_line(root):
    endpoints = up(root)
    words = ""
    for process in processes_below(root):
        # One that did a moment's work for the database may be gone by now.
        with suppress(psutil.NoSuchProcess):
            words += " ".join(process.cmdline())
    password = endpoints.database_url.split(":")[2].split("@")[0]
    broker_password = endpoints.broker_url.split(":")[2].split("@")[0]
    assert str(root) in words
    for secret in (password, broker_password, endpoints.s3_secret_key):
        assert secret not in words


def test_a_page_of_another_port_may_put_objects_with_a_signed_address_and_no_other(root):
    endpoint = up(root).s3_endpoint
    headers = {"Origin": "http://127.0.0.1:8000", "Access-Control-Request-Method": "PUT"}

    def ask(method: str, path: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(endpoint.removeprefix("http://"), timeout=5)
        connection.request(method, path, headers=headers)
        return connection.getresponse()

    preflight = ask("OPTIONS", "/lamppost/uploads/1/x?X-Amz-Signature=x")
    assert preflight.status == 200
    assert preflight.headers.get_all("Access-Control-Allow-Origin") == ["*"]
    assert "PUT" in preflight.headers["Access-Control-Allow-Methods"]
    assert ask("PUT", "/lamppost/uploads/1/x").status in (400, 403)


def test_up_again_leaves_running_servers_alone_and_is_quick(root):
    endpoints, before = up(root), pids(root)
    took = []
    # The quickest counts: another process may have the machine for a moment.
    for _ in range(5):
        begun = time.monotonic()
        assert up(root) == endpoints
        took.append(time.monotonic() - begun)
    assert min(took) < 1
    assert pids(root) == before


def test_down_leaves_no_process_and_may_be_repeated(root):
    up(root)
    assert stack.down(root) == ["PostgreSQL", "Redis", "Object store"]
    assert processes_below(root) == []
    assert stack.down(root) == []
    assert running(root) == []


def test_data_ports_and_secrets_survive_down_and_up(root):
    before = up(root)
    execute(before, "DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT 42 AS n")
    stack.down(root)
    after = up(root)
    assert after == before
    assert execute(after, "SELECT n FROM kept") == [(42,)]


@pytest.mark.parametrize("killed", SERVERS)
def test_a_killed_server_is_healed_and_the_others_stay(root, killed):
    endpoints, before = up(root), pids(root)
    execute(endpoints, "DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT 42 AS n")
    os.kill(before[killed], signal.SIGKILL)

    assert up(root) == endpoints

    after = pids(root)
    assert running(root) == ["postgres", "redis", "s3"]
    assert [name for name in SERVERS if before[name] != after[name]] == [killed]
    assert execute(endpoints, "SELECT n FROM kept") == [(42,)]


def test_all_killed_at_once_are_healed(root):
    endpoints = up(root)
    # Those of the database end by themselves once their parent has.
    kill_all(processes_below(root))
    assert up(root) == endpoints
    assert running(root) == ["postgres", "redis", "s3"]


@pytest.mark.long
@pytest.mark.parametrize("hung", SERVERS)
def test_a_server_that_hangs_is_replaced(root, hung):
    endpoints = up(root)
    os.kill(pids(root)[hung], signal.SIGSTOP)
    assert up(root) == endpoints
    assert running(root) == ["postgres", "redis", "s3"]


def starter(root: Path) -> subprocess.Popen:
    code = "import sys, pathlib; from embedded import stack; stack.up(pathlib.Path(sys.argv[1]), durable=False)"
    return subprocess.Popen([sys.executable, "-c", code, str(root)], start_new_session=True)


def test_a_starter_killed_while_it_makes_the_database_is_healed(empty_root):
    process = starter(empty_root)
    while not list(empty_root.glob("postgres.new.*/data/base")):
        assert process.poll() is None
        time.sleep(0.002)
    process.kill()
    process.wait()

    up(empty_root)

    assert running(empty_root) == ["postgres", "redis", "s3"]
    assert list(empty_root.glob("postgres.new.*")) == []


@pytest.mark.long
@pytest.mark.parametrize("seconds", [n / 20 for n in range(2, 30, 2)])
def test_a_starter_killed_at_any_moment_is_healed(empty_root, seconds):
    process = starter(empty_root)
    time.sleep(seconds)
    process.kill()
    process.wait()

    up(empty_root)

    assert running(empty_root) == ["postgres", "redis", "s3"]
    stack.down(empty_root)
    assert processes_below(empty_root) == []


def test_servers_survive_their_starter_and_its_terminal(empty_root):
    process = starter(empty_root)
    assert process.wait() == 0
    assert running(empty_root) == ["postgres", "redis", "s3"]
    for server in stack.status(empty_root):
        assert os.getsid(server.pid) != os.getsid(0)


def test_a_stale_pid_file_whose_number_was_given_to_another_process_is_no_obstacle(root):
    endpoints = up(root)
    lock = root / "postgres" / "data" / "postmaster.pid"
    content = lock.read_text()
    owner = lock.stat()
    os.kill(pids(root)["postgres"], signal.SIGKILL)
    stack.down(root)
    # PostgreSQL takes the other process for a living server only if it is of the same user.
    identity = {"user": owner.st_uid, "group": owner.st_gid} if os.geteuid() == 0 else {}
    bystander = subprocess.Popen(["sleep", "600"], **identity)
    lock.write_text("\n".join([str(bystander.pid), *content.splitlines()[1:]]) + "\n")

    assert up(root) == endpoints

    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


def test_ports_taken_by_others_in_between_are_left_to_them(root):
    up(root)
    addresses = {server.name: server.address for server in stack.status(root)}
    stack.down(root)
    takers = []
    for address in addresses.values():
        taker = socket.create_server(("127.0.0.1", int(address.rpartition(":")[2])))
        takers.append(taker)

    endpoints = up(root)

    assert running(root) == ["postgres", "redis", "s3"]
    assert not {server.address for server in stack.status(root)} & set(addresses.values())
    assert stack.recorded(root) == endpoints
    for taker in takers:
        taker.close()


def test_down_finds_the_servers_without_a_record(root):
    up(root)
    (root / "stack.json").unlink()
    assert stack.down(root) == ["PostgreSQL", "Redis", "Object store"]
    assert processes_below(root) == []


def test_up_without_a_record_finds_the_data_and_the_secrets_again(root):
    before = up(root)
    execute(before, "DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT 42 AS n")
    (root / "stack.json").write_text("{ half")
    after = up(root)
    assert after.s3_secret_key == before.s3_secret_key
    assert execute(after, "SELECT n FROM kept") == [(42,)]


def test_servers_whose_folder_was_removed_from_under_them_can_be_stopped(empty_root):
    up(empty_root)
    shutil.rmtree(empty_root)
    assert stack.down(empty_root) == ["PostgreSQL", "Redis", "Object store"]
    assert processes_below(empty_root) == []


def test_a_damaged_log_of_the_broker_is_put_aside(empty_root):
    stack.up(empty_root, only=["redis"])
    stack.down(empty_root)
    log = empty_root / "redis" / "appendonly.aof"
    log.write_bytes(b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\nnonsense" + b"\0" * 100)
    stack.up(empty_root, only=["redis"])
    assert running(empty_root) == ["redis"]
    assert (empty_root / "redis" / "appendonly.aof.damaged").exists()


def test_two_checkouts_side_by_side_do_not_meet(place):
    one, two = up(place / "one" / "var"), up(place / "two" / "var")
    execute(one, "CREATE TABLE mine AS SELECT 1 AS n")
    assert execute(two, "SELECT to_regclass('mine')") == [(None,)]
    assert len({one.database_url, two.database_url, one.s3_endpoint, two.s3_endpoint}) == 4

    stack.down(place / "one" / "var")

    assert running(place / "two" / "var") == ["postgres", "redis", "s3"]


def test_a_copy_of_a_running_checkout_gets_servers_of_its_own(place):
    original, copy = place / "one" / "var", place / "two" / "var"
    before = up(original)
    execute(before, "CHECKPOINT")
    subprocess.run(["cp", "-a", str(original.parent), str(copy.parent)], check=True)

    after = up(copy)

    assert after.database_url != before.database_url
    assert running(original) == running(copy) == ["postgres", "redis", "s3"]
    assert not set(pids(original).values()) & set(pids(copy).values())


def test_many_starters_at_once_bring_up_one_stack(empty_root):
    context = multiprocessing.get_context("fork")
    starters = [context.Process(target=up, args=(empty_root,)) for _ in range(4)]
    for process in starters:
        process.start()
    for process in starters:
        process.join()
    assert [process.exitcode for process in starters] == [0, 0, 0, 0]
    servers = set(pids(empty_root).values())
    leaders = []
    for process in processes_below(empty_root):
        # One that does a moment's work for the database may have ended.
        with suppress(psutil.NoSuchProcess):
            if process.ppid() not in servers:
                leaders.append(process.pid)
    assert set(leaders) == servers


def test_a_very_long_path_works(place):
    root = place.joinpath(*["a folder with quite a long name, and 'quotes'"] * 4, "var")
    up(root)
    assert len(str(root)) > 180
    assert running(root) == ["postgres", "redis", "s3"]


def test_an_ordinary_user_can_run_everything(place):
    place.chmod(0o777)
    root = place / "var"

    def life() -> None:
        endpoints = up(root)
        assert running(root) == ["postgres", "redis", "s3"]
        assert execute(endpoints, "SELECT 1") == [(1,)]
        assert {psutil.Process(pid).uids().real for pid in pids(root).values()} == {os.geteuid()}
        os.kill(pids(root)["postgres"], signal.SIGKILL)
        assert up(root) == endpoints
        stack.down(root)
        assert running(root) == []

    as_unprivileged_user(life)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run servers for another user")
class TestAsRoot:
    def test_postgres_runs_as_an_unprivileged_user(self, root):
        up(root)
        assert psutil.Process(pids(root)["postgres"]).uids().effective != 0

    def test_a_checkout_that_nobody_else_may_enter_has_its_database_elsewhere(self, place):
        place.chmod(0o700)
        root = place / "var"
        endpoints = up(root)
        execute(endpoints, "DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT 42 AS n")
        elsewhere = (root / "postgres").resolve()
        assert not elsewhere.is_relative_to(place)

        os.kill(pids(root)["postgres"], signal.SIGKILL)
        assert up(root) == endpoints
        assert execute(endpoints, "SELECT n FROM kept") == [(42,)]

        stack.erase(root)
        assert not elsewhere.exists()
        assert processes_below(elsewhere) == []

    def test_data_of_another_user_is_refused_with_a_remedy(self, root):
        up(root)

        def attempt() -> None:
            for action in (lambda: up(root), lambda: stack.down(root), lambda: stack.recorded(root)):
                with pytest.raises(StackError, match="Run this as"):
                    action()

        as_unprivileged_user(attempt)
        assert running(root) == ["postgres", "redis", "s3"]


def test_a_file_in_the_way_is_named(place):
    (place / "var").write_text("")
    with pytest.raises(StackError, match="Move it away"):
        up(place / "var")


@pytest.mark.parametrize(
    ("find", "variable"),
    [(wheels.postgres_installation, "DATABASE_URL"), (wheels.redis_program, "BROKER_URL")],
)
def test_a_missing_wheel_says_what_to_install(monkeypatch, find, variable):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(StackError, match=rf"pip install 'lamppost\[embedded\]'.*{variable}"):
        find()


def test_status_of_a_folder_without_a_stack_makes_nothing(empty_root):
    assert [server.detail for server in stack.status(empty_root)] == ["never started"] * 3
    assert stack.down(empty_root) == []
    assert not empty_root.exists()
