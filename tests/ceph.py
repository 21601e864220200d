"""A second S3 server: Ceph's object gateway, on a cluster of one monitor and one store in memory.

It is stricter than the embedded one and answers as Amazon's does. Where Debian's packages `radosgw`, `ceph-mon` and
`ceph-osd` are installed, tests of the object store run on it too.
"""

import http.client
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from embedded.ports import HOST, free_port

PROGRAMS = ("ceph", "ceph-authtool", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")
_START_SECONDS = 120.0

# A gateway insists on keys between the parts even where the rest of a cluster does without.
_CONFIGURATION = """
[global]
fsid = {fsid}
mon_host = v2:{host}:{monitor_port}
mon_initial_members = a
public_addr = {host}
cluster_addr = {host}
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
keyring = {folder}/keyring
admin_socket =
log_file = {folder}/log/$name.log
log_to_stderr = false
mon_cluster_log_file = {folder}/log/cluster.log
run_dir = {folder}
mon_data = {folder}/mon
mon_data_avail_crit = 1
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
osd_data = {folder}/osd
osd_objectstore = memstore
memstore_device_bytes = 1073741824
osd_crush_chooseleaf_type = 0
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pgp_num = 1
osd_pool_default_pg_autoscale_mode = off
rgw_data = {folder}/rgw
rgw_frontends = beast endpoint={host}:{port}
"""
_CAPABILITIES = {
    "mon.": ("--cap", "mon", "allow *"),
    "client.admin": ("--cap", "mon", "allow *", "--cap", "osd", "allow *"),
    "osd.0": ("--cap", "mon", "allow profile osd", "--cap", "osd", "allow *"),
    "client.rgw": ("--cap", "mon", "allow rw", "--cap", "osd", "allow rwx"),
}


def missing_programs() -> list[str]:
    """Those of the programs that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


@dataclass(frozen=True)
class Gateway:
    """A running one, and what opens it."""

    endpoint: str
    access_key: str
    secret_key: str


@contextmanager
def running_gateway(folder: Path) -> Iterator[Gateway]:
    """A gateway with its cluster in `folder`; all of it is gone after the block, and with this process."""
    for name in ("log", "mon", "osd", "rgw"):
        (folder / name).mkdir()
    port = free_port()
    fsid = str(uuid.uuid4())
    configuration = folder / "ceph.conf"
    configuration.write_text(
        _CONFIGURATION.format(fsid=fsid, host=HOST, monitor_port=(monitor := free_port()), port=port, folder=folder)
    )
    with ExitStack() as parts:

        def run(*arguments: str) -> None:
            done = subprocess.run(arguments, capture_output=True, text=True, cwd=folder, timeout=_START_SECONDS)
            assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"

        def start(*arguments: str) -> None:
            parts.enter_context(_kept_while_we_live(arguments, folder=folder))

        conf = ("-c", str(configuration))
        keyring = str(folder / "keyring")
        run("ceph-authtool", "--create-keyring", keyring)
        for name, capabilities in _CAPABILITIES.items():
            run("ceph-authtool", keyring, "--gen-key", "-n", name, *capabilities)
        run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[v2:{HOST}:{monitor}]", str(folder / "monmap"))
        run("ceph-mon", *conf, "--mkfs", "-i", "a", "--monmap", str(folder / "monmap"), "--keyring", keyring)
        start("ceph-mon", *conf, "-i", "a", "-f")
        run("ceph", *conf, "--connect-timeout", "60", "osd", "create")
        run("ceph-osd", *conf, "-i", "0", "--mkfs")
        start("ceph-osd", *conf, "-i", "0", "-f")
        start("radosgw", *conf, "-n", "client.rgw", "-f")
        gateway = Gateway(f"http://{HOST}:{port}", "A" * 20, "b" * 40)
        run(
            "radosgw-admin", *conf, "user", "create", "--uid", "lamppost", "--display-name", "lamppost",
            "--access-key", gateway.access_key, "--secret-key", gateway.secret_key,
        )  # fmt: skip
        _wait_for(port)
        yield gateway


@contextmanager
def _kept_while_we_live(command: tuple[str, ...], *, folder: Path) -> Iterator[None]:
    """A server that ends with the block, or with this process, however that ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "jobs.supervisor", "--grace", "2", "--", *command],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder,
    )  # fmt: skip
    try:
        yield
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)


def _wait_for(port: int) -> None:
    until = time.monotonic() + _START_SECONDS
    while True:
        connection = http.client.HTTPConnection(HOST, port, timeout=30)
        try:
            connection.request("GET", "/")
            if connection.getresponse().status == 200:
                return
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        assert time.monotonic() < until, "the gateway did not answer"
        time.sleep(0.3)
