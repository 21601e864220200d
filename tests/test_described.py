"""The API answers as its description says: schemathesis reads the description, and asks what it allows and what it does
not.

Every operation is asked, so new ones are covered as they are described. What an example changes is undone after it.
"""

import json
from typing import Any

import pytest
import requests
import schemathesis
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from common.api.openapi import document
from tests import people
from tests.everything import one_of_everything
from tests.routes import what_stands
from users_app.models import Scope, Workspace

MANY = 10_000_000
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
HERE = "http://testserver"
SENT = ("method", "url", "headers", "params", "data", "json", "cookies", "files")
# What bodies name, as it is called here.
STANDING = {"user": "alice", "task": people.TWEETS, "base_model": "some/t5", "dataset": "tweets"}

api_description = schemathesis.openapi.from_dict(json.loads(document()))


@pytest.fixture
def acme(workspace, alice, bob, dev):
    return one_of_everything(workspace=workspace, alice=alice, dev=dev)


@pytest.fixture
def quick(settings):
    """Nobody waits, and no stream goes on."""
    settings.WAITING_REQUESTS = 0
    settings.EVENT_STREAM_SECONDS = 0.01


@pytest.fixture
def program(acme, quick, api_key, client_of):
    """A program that may do everything, as often as it likes."""
    return client_of(api_key(scopes=list(Scope), requests_per_minute=MANY))


def test_there_is_a_description():
    assert len(list(api_description.get_all_operations())) >= 30


@api_description.given(of_what_stands=st.booleans())
@api_description.parametrize()
@settings(max_examples=12, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_answer_is_one_that_is_described(case, of_what_stands, program, acme):
    ask_and_check(case, program, acme if of_what_stands else None)


@pytest.mark.long
@api_description.given(of_what_stands=st.booleans())
@api_description.parametrize()
@settings(max_examples=80, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def test_so_it_is_however_long_one_asks(case, of_what_stands, program, acme):
    ask_and_check(case, program, acme if of_what_stands else None)


def ask_and_check(case: schemathesis.Case, program: Any, workspace: Workspace | None) -> None:
    """Send `case`, about what stands in `workspace` where it is given, and hold the answer to the description."""
    if workspace is not None:
        name_what_stands(case, workspace)
    values = case.as_transport_kwargs(base_url=HERE)
    prepared = requests.Request(**{name: values.get(name) for name in SENT}).prepare()
    headers = {
        name: value for name, value in prepared.headers.items() if name not in ("Content-Type", "Content-Length")
    }
    # No `atomic` here: some of what is asked begins a transaction that may stand in no other.
    before = transaction.savepoint()
    answer = program.generic(
        case.method,
        prepared.path_url,
        prepared.body or b"",
        content_type=prepared.headers.get("Content-Type", ""),
        headers=headers,
    )
    content = b"".join(answer.streaming_content) if answer.streaming else answer.content
    transaction.savepoint_rollback(before)
    case.validate_response(
        schemathesis.Response(
            status_code=answer.status_code,
            headers={name.lower(): [value] for name, value in answer.headers.items()},
            content=content,
            request=prepared,
            elapsed=0.0,
            verify=False,
        ),
        checks=CHECKS,
    )


def name_what_stands(case: schemathesis.Case, workspace: Workspace) -> None:
    """Let the address and the body of `case` name things of `workspace`; all else stays as it was made up."""
    for name in case.path_parameters or {}:
        standing = what_stands(workspace, name)
        if standing is not None:
            case.path_parameters[name] = standing
    if isinstance(case.body, dict):
        for body in [case.body, *case.body.get("generations", [])]:
            if isinstance(body, dict):
                body.update({name: value for name, value in STANDING.items() if name in body})
