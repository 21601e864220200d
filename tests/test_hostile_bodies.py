"""Whatever is sent, a problem comes back: every route that takes a body, with bodies made to break it.

A recorded corpus goes to each route, and bodies of its own fields with hostile values. The routes and their fields are
read off the URL conf and the API's description, so new ones are covered as they are added.
"""

import gc
import io
import json
import os

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.routes import routes
from users_app.models import Scope

MANY = 10_000_000
MEBIBYTE = 2**20

# Each was a 500, a hang or a crash of somebody's API once.
CORPUS = [
    b"",
    b"null",
    b"true",
    b'"text"',
    b"0",
    b"[]",
    b"{}",
    b"{",
    b"}",
    b"[[[[",
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b"[" * 40 + b"]" * 40,
    b'{"user": "\\u0000"}',
    b'{"user": "\\ud800"}',
    b'{"user": "a\\udfffb", "task": "LaMP-7"}',
    b'{"\\u0000": 1}',
    b'{"user": NaN}',
    b'{"user": 1e999, "k": -1e999}',
    b'{"k": ' + b"9" * 5_000 + b"}",
    b'{"k": 1e-9999999999}',
    b'{"user": "a", "user": "b"}',
    b"\xff\xfe{\x00}\x00",
    b'\xef\xbb\xbf{"user": "a"}',
    b'{"user": "\xed\xa0\x80"}',
    b"\x00" * 1_000,
    b"PK\x03\x04" + bytes(range(256)),
    b"<xml/>",
    b"user=alice&task=LaMP-7",
    b'{"user": "' + b"x" * 100_000 + b'"}',
    b"[" + b"{}," * 5_000 + b"{}]",
    b"[" + b"0," * 50_000 + b"0]",
    b'{"__proto__": {"x": 1}, "constructor": {"prototype": 1}}',
    b'{"": ""}',
]
CONTENT_TYPES = [
    "application/json",
    "application/json; charset=utf-16",
    "application/x-ndjson",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "text/plain",
    "",
    "application/json, application/json",
    "\x80/\xff",
]
VALUES = [
    None, True, 0, -1, 1.5, 2**53, -(2**53), 1e308, "", " ", ".", "..", "a/b", "\n", "\u202e", "é" * 300, "x" * 70_000,
    "LaMP-7", "alice", [], {}, [None], [[]], {"a": {}}, [{}] * 3, ["x"] * 2_000, {"text": {"text": []}},
    {str(n): n for n in range(300)},
]  # fmt: skip


@pytest.fixture
def acme(workspace, alice, bob):
    return workspace


@pytest.fixture
def program(acme, api_key, client_of):
    """A program that may do everything, as often as it likes."""
    return client_of(api_key(scopes=list(Scope), requests_per_minute=MANY))


@pytest.fixture
def taking_bodies(acme):
    """Method and address of everything that takes a body."""
    return [
        (method, route.address(acme)[0])
        for route in routes(("api/", "v1/"))
        for method in route.methods()
        if method in ("POST", "PUT", "PATCH")
    ]


@pytest.fixture
def names(client):
    """The names of all fields in all bodies that the API describes."""
    schemas = json.loads(client.get("/api/v1/openapi.json").content)["components"]["schemas"]
    found = {name for schema in schemas.values() for name in schema.get("properties", {})}
    return sorted({*found, "messages", "prompt", "stream", "user", "task"})


def send(client, method, address, raw, content_type="application/json"):
    return client.generic(method, address, raw, content_type=content_type)


def withstood(answer):
    """Whether it is an answer, or says in a document what is wrong."""
    body = answer.content if not answer.streaming else b"".join(answer.streaming_content)
    if answer.status_code < 400:
        return True
    document = json.loads(body)
    named = answer.headers["Content-Type"] == "application/problem+json" and document["type"].startswith("urn:lamppost")
    return answer.status_code < 500 and len(body) < 100_000 and (named or "message" in document["error"])


def test_there_is_something_to_withstand(taking_bodies, names):
    assert taking_bodies
    assert len(names) > 20


def some(targets, at):
    """A third of them, another one each time: what all views share need not be asked of each."""
    return targets[at % 3 :: 3]


def test_the_corpus(program, taking_bodies):
    broken = []
    for at, raw in enumerate(CORPUS):
        for method, address in some(taking_bodies, at):
            answer = send(program, method, address, raw)
            if not withstood(answer):
                broken.append((method, address, raw[:60], answer.status_code))
    assert broken == []


def test_bodies_of_other_types(program, taking_bodies):
    broken = []
    for at, content_type in enumerate(CONTENT_TYPES):
        for method, address in some(taking_bodies, at):
            for raw in (b'{"user": "alice"}', b"\xff\x00"):
                answer = send(program, method, address, raw, content_type)
                if not withstood(answer):
                    broken.append((method, address, content_type, answer.status_code))
    assert broken == []


def test_every_field_with_a_value_that_it_does_not_expect(program, taking_bodies, names):
    broken = []
    for at, value in enumerate(VALUES):
        for place, (method, address) in enumerate(some(taking_bodies, at)):
            raw = json.dumps(dict.fromkeys(some(names, place), value)).encode()
            answer = send(program, method, address, raw)
            if not withstood(answer):
                broken.append((method, address, str(value)[:60], answer.status_code))
    assert broken == []


def test_a_body_of_fifty_mebibytes_is_not_read(program, taking_bodies):
    size = 50 * MEBIBYTE
    for method, address in taking_bodies:
        for given_length in (True, False):
            stream = Counted(b'{"user": "', b"x" * 2**16, size)
            answer = send_stream(program, method, address, stream, size if given_length else None)
            assert answer.status_code in (400, 404, 413), (method, address)
            assert stream.given <= 11 * MEBIBYTE


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_ten_thousand_bodies_and_memory_stays_flat(program, taking_bodies, names):
    fields = st.sampled_from(names)
    values = st.recursive(
        st.sampled_from(VALUES[:22]) | st.integers() | st.floats() | st.text(max_size=40),
        lambda inner: st.lists(inner, max_size=5) | st.dictionaries(fields | st.text(max_size=5), inner, max_size=5),
        max_leaves=25,
    )
    bodies = (
        st.dictionaries(fields, values, max_size=8).map(lambda body: json.dumps(body).encode())
        | st.lists(values, max_size=4).map(lambda body: json.dumps(body).encode())
        | st.binary(max_size=200)
        | st.sampled_from(CORPUS)
    )
    sent = 0

    @given(
        target=st.sampled_from(taking_bodies),
        raw=bodies,
        content_type=st.sampled_from(CONTENT_TYPES[:1] * 8 + CONTENT_TYPES),
    )
    @settings(max_examples=5_000, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def bombard(target, raw, content_type):
        nonlocal sent
        sent += 1
        assert withstood(send(program, *target, raw, content_type)), target

    process = psutil.Process(os.getpid())
    bombard()
    gc.collect()
    before = process.memory_info().rss
    bombard()
    gc.collect()
    assert sent >= 10_000
    assert process.memory_info().rss - before < 64 * MEBIBYTE


class Counted(io.RawIOBase):
    """A body that is made as it is read, and counts what was."""

    def __init__(self, head, block, size):
        self.head, self.block, self.size, self.given = head, block, size, 0

    def read(self, size=-1):
        wanted = min(size if size >= 0 else len(self.block), len(self.block), self.size - self.given)
        piece = self.head[:wanted] if self.given == 0 else self.block[:wanted]
        self.given += len(piece)
        return piece


def send_stream(client, method, address, stream, length):
    headers = {"CONTENT_LENGTH": str(length)} if length else {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"}
    return client.generic(
        method,
        address,
        content_type="application/json",
        **headers,
        **{"wsgi.input": stream, "wsgi.input_terminated": True},
    )
