"""Installations that hold something, empty ones to restore into, and backups that were meddled with."""

import hashlib
import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.db import connection
from django.test.utils import override_settings

from common.objects import get_store
from tests.people import tweets_of
from tests.training_app.adapters import plan_of
from training_app.adapters import TrainedFacts, record_adapter
from training_app.models import Adapter
from training_app.object_keys import adapter_prefix
from users_app.models import EndUser


def stored_adapter(end_user: EndUser, **changed: Any) -> Adapter:
    """A recorded adapter whose files stand in the object store; nobody trained it."""
    plan = plan_of(end_user, tweets_of(end_user), **changed)
    files = {
        "adapter_config.json": f'{{"of": "{plan.identity}"}}'.encode(),
        "adapter_model.safetensors": plan.identity.encode() * 100,
    }
    digest = hashlib.sha256()
    for name, data in files.items():
        digest.update(f"{name}\0{len(data)}\0".encode() + data)
    prefix = adapter_prefix(identity=plan.identity, digest=digest.hexdigest())
    for name, data in files.items():
        get_store().put_bytes(prefix + name, data)
    facts = TrainedFacts(
        object_prefix=prefix,
        content_digest=digest.hexdigest(),
        size_bytes=sum(map(len, files.values())),
        loss_curve=[2.0, 1.0],
        steps=2,
        training_seconds=0.5,
        versions={},
        hardware={},
    )
    return record_adapter(end_user=end_user, plan=plan, facts=facts)


def all_rows(*, without: frozenset[str] = frozenset()) -> dict[str, list[str]]:
    """Every row of every table as PostgreSQL writes it."""
    rows = {}
    with connection.cursor() as cursor:
        for table in sorted(set(connection.introspection.table_names(cursor)) - without):
            cursor.execute(f'SELECT t::text FROM "{table}" t ORDER BY 1')
            rows[table] = [row for (row,) in cursor.fetchall()]
    return rows


def all_objects() -> dict[str, bytes]:
    return {info.key: get_store().get_bytes(info.key, max_bytes=2**30) for info in get_store().list()}


def empty_the_store() -> None:
    for info in list(get_store().list()):
        get_store().delete(info.key)


def _server() -> psycopg.Connection[Any]:
    told = connection.settings_dict
    return psycopg.connect(
        host=told["HOST"], port=told["PORT"], user=told["USER"], password=told["PASSWORD"], dbname="postgres",
        autocommit=True,
    )  # fmt: skip


@contextmanager
def an_empty_database() -> Iterator[str]:
    """The name of a database that holds nothing; it goes with the block."""
    name = f"restored_{secrets.token_hex(4)}"
    with _server() as server:
        server.execute(f"CREATE DATABASE {name}")
    try:
        yield name
    finally:
        with _server() as server:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def elsewhere() -> Iterator[None]:
    """Inside, this process works on an empty database and an empty bucket of the same servers."""
    before = connection.settings_dict["NAME"]
    with an_empty_database() as name, override_settings(S3_BUCKET=f"{settings.S3_BUCKET}-{secrets.token_hex(4)}"):
        connection.close()
        connection.settings_dict["NAME"] = name
        try:
            yield
            empty_the_store()
        finally:
            connection.close()
            connection.settings_dict["NAME"] = before


def change_manifest(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change what a backup says of itself, and seal it anew, as somebody could who means harm."""
    path = folder / "manifest.json"
    told = json.loads(path.read_bytes())
    change(told)
    data = json.dumps(told).encode()
    path.write_bytes(data)
    (folder / "manifest.json.sha256").write_text(f"{hashlib.sha256(data).hexdigest()}  manifest.json\n")


def change_objects(folder: Path, lines: list[dict[str, Any]]) -> None:
    """Put these lines in place of a backup's list of objects, and let its manifest agree."""
    data = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    (folder / "objects.jsonl").write_bytes(data)

    def agree(told: dict[str, Any]) -> None:
        told["objects"] = {"name": "objects.jsonl", "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        told["object_count"] = len(lines)
        told["object_bytes"] = sum(line["size"] for line in lines)

    change_manifest(folder, agree)
