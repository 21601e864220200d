"""The tables of the embedded database make themselves."""

import pytest
from django.core.management import call_command
from django.db import connection

from common.schema import bring_up_to_date


@pytest.mark.django_db
def test_nothing_is_done_where_nothing_is_missing():
    assert bring_up_to_date() is False


@pytest.mark.django_db(transaction=True)
def test_what_is_missing_is_applied():
    call_command("migrate", "eval_app", "zero", verbosity=0)
    try:
        assert "eval_app_run" not in connection.introspection.table_names()
        assert bring_up_to_date() is True
        assert "eval_app_run" in connection.introspection.table_names()
    finally:
        bring_up_to_date()
