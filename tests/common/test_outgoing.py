"""One POST to where a client has said: to the checked address, for its name's certificate, within its time."""

import socket
import ssl
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from ipaddress import ip_network

import pytest

from common import addresses, outgoing
from common.addresses import Reach, parse_url
from common.outgoing import Answer, post
from tests.receivers import receiving

HERE = Reach(networks=(ip_network("127.0.0.0/8"),))


def send(url, *, reach=HERE, body=b"{}"):
    return post(parse_url(url), body=body, headers={"X-Signature": "s"}, reach=reach)


@contextmanager
def serving(talk, *, context=None):
    """A server that talks as the test says to each connection; its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads = []

    def serve(connection):
        with suppress(OSError), connection:
            talk(connection)

    def accept():
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                try:
                    taken = context.wrap_socket(connection, server_side=True) if context else connection
                except OSError:
                    connection.close()
                    continue
                threads.append(threading.Thread(target=serve, args=(taken,), daemon=True))
                threads[-1].start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


def answering(text):
    """Read a request (or what stands for one), then say `text`."""

    def talk(connection):
        request = b""
        while not request.endswith(b"{}") and not request.startswith(b"\x16"):
            request += connection.recv(65_536)
        connection.sendall(text)

    return talk


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(outgoing, "CONNECT_SECONDS", 0.3)
    monkeypatch.setattr(outgoing, "TOTAL_SECONDS", 0.6)


@pytest.fixture
def lookups(monkeypatch):
    """Let every name lead to these addresses, one list a lookup and the last one for ever; the names asked for."""

    class Lookups(list):
        answers = [["127.0.0.1"]]

    asked = Lookups()
    real = socket.getaddrinfo

    def getaddrinfo(host, port, *args, **options):
        if host[0].isdigit():
            return real(host, port, *args, **options)
        asked.append(host)
        answer = asked.answers.pop(0) if len(asked.answers) > 1 else asked.answers[0]
        return [info for one in answer for info in real(one, port, *args, **options)]

    monkeypatch.setattr(addresses.socket, "getaddrinfo", getaddrinfo)
    return asked


def test_it_is_sent_as_it_is_and_the_status_comes_back():
    with receiving(statuses=[201]) as receiver:
        assert send(receiver.url + "?a=b", body=b'{"x": 1}') == Answer(201)
    [received] = receiver.received
    assert (received.path, received.body, received.headers["x-signature"]) == ("/hooks?a=b", b'{"x": 1}', "s")
    assert received.headers["host"] == receiver.url.removeprefix("http://").removesuffix("/hooks")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_answer_like_any_other(status):
    with receiving() as elsewhere, receiving(statuses=[status], headers={"Location": elsewhere.url}) as receiver:
        assert send(receiver.url) == Answer(status)
        assert elsewhere.received == []


def test_nobody_there_is_said_to_be_so():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert send(f"http://127.0.0.1:{taken.getsockname()[1]}/") == Answer(None, "not-connected")


def test_an_address_that_leads_inward_is_not_connected_to():
    with receiving() as receiver:
        assert send(receiver.url, reach=Reach(plain_http=True)) == Answer(None, "address-refused")
        assert receiver.received == []


def test_a_name_that_changes_its_address_is_asked_at_the_one_that_was_checked(lookups):
    with receiving() as receiver:
        port = receiver.url.split(":")[2].split("/")[0]
        lookups.answers = [["127.0.0.1"], ["10.0.0.1"]]
        assert send(f"http://rebinding.example:{port}/hooks") == Answer(204)
        assert lookups == ["rebinding.example"]
        assert receiver.received[0].headers["host"] == f"rebinding.example:{port}"
        assert send(f"http://rebinding.example:{port}/hooks") == Answer(None, "address-refused")


def test_the_next_address_is_tried_where_the_first_takes_no_connection(lookups):
    with receiving() as receiver:
        port = receiver.url.split(":")[2].split("/")[0]
        lookups.answers = [["127.0.0.9", "127.0.0.1"]]
        assert send(f"http://two.example:{port}/hooks") == Answer(204)


# Whoever is asked in these tests would take twenty seconds and more.
LONG_BEFORE = 8.0


class TestTime:
    def test_whoever_says_nothing_is_not_waited_for(self, quick):
        with receiving(seconds=20) as receiver:
            began = time.monotonic()
            assert send(receiver.url) == Answer(None, "timeout")
            assert time.monotonic() - began < LONG_BEFORE

    @pytest.mark.parametrize("drip", [b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 90, b"H" * 1_000])
    def test_whoever_says_it_byte_by_byte_is_not_either(self, quick, drip):
        def talk(connection):
            connection.recv(65_536)
            for byte in drip:
                connection.sendall(bytes([byte]))
                time.sleep(0.05)

        with serving(talk) as port:
            began = time.monotonic()
            assert send(f"http://127.0.0.1:{port}/") == Answer(None, "timeout")
            assert time.monotonic() - began < LONG_BEFORE

    def test_a_body_that_never_ends_is_not_read(self, monkeypatch):
        monkeypatch.setattr(outgoing, "TOTAL_SECONDS", 20.0)

        def talk(connection):
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
            while True:
                connection.sendall(b"x" * 65_536)

        with serving(talk) as port:
            began = time.monotonic()
            assert send(f"http://127.0.0.1:{port}/") == Answer(200)
            assert time.monotonic() - began < LONG_BEFORE

    def test_a_handshake_that_never_ends_is_left(self, quick):
        with serving(lambda connection: time.sleep(20)) as port:
            began = time.monotonic()
            assert send(f"https://127.0.0.1:{port}/") == Answer(None, "timeout")
            assert time.monotonic() - began < LONG_BEFORE


@pytest.mark.parametrize(
    "text",
    [b"", b"\r\n", b"nonsense\r\n\r\n", b"HTTP/1.1 2x0 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200,
     b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000, b"HTTP/1.1 99999 OK\r\n\r\n"],
)  # fmt: skip
def test_what_is_no_answer_is_none(text):
    with serving(answering(text)) as port:
        assert send(f"http://127.0.0.1:{port}/") == Answer(None, "no-answer")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate of hook.example, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=hook.example",
         "-addext", "subjectAltName=DNS:hook.example", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


class TestCertificates:
    @pytest.fixture
    def port(self, certificate):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*certificate)
        with serving(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), context=context) as port:
            yield port

    @pytest.fixture
    def trusted(self, certificate, monkeypatch):
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        outgoing._tls.cache_clear()
        yield
        outgoing._tls.cache_clear()

    def test_one_of_the_name_will_do_at_the_checked_address(self, lookups, port, trusted):
        assert send(f"https://hook.example:{port}/") == Answer(200)

    def test_one_of_another_name_will_not(self, lookups, port, trusted):
        assert send(f"https://other.example:{port}/") == Answer(None, "certificate")
        assert send(f"https://127.0.0.1:{port}/") == Answer(None, "certificate")

    def test_one_that_nobody_trusts_will_not(self, lookups, port):
        assert send(f"https://hook.example:{port}/") == Answer(None, "certificate")

    def test_whoever_speaks_no_tls_is_said_to(self):
        with serving(answering(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port:
            assert send(f"https://127.0.0.1:{port}/") == Answer(None, "tls")
