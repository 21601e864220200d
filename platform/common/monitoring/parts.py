"""The parts that this app talks to: the database and the object store."""

from typing import Final

from django.db import connection

from common.monitoring.readiness import Found, Part
from common.objects import get_store


def _database() -> Found:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return Found()


def _object_store() -> Found:
    get_store().reach()
    return Found()


DATABASE: Final = Part(name="database", ask=_database)
OBJECT_STORE: Final = Part(name="object-store", ask=_object_store)
