"""Which URLs and addresses are asked: a table of ways into a network that must not be one."""

import socket
import threading
import time
from ipaddress import ip_address, ip_network

import pytest

from common import addresses
from common.addresses import AddressRefused, NotResolved, Reach, Refused, Url, addresses_of, may_be_asked, parse_url

INWARD = [
    # This machine, and whatever is taken for it.
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "::1", "::",
    # Private, shared and link-local networks, and where clouds keep their credentials.
    "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.127.255.255", "169.254.169.254",
    "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1",
    # Of many, of nobody, of books.
    "224.0.0.1", "239.255.255.250", "ff02::1", "ff0e::1", "255.255.255.255", "240.0.0.1", "192.0.0.8", "192.0.2.1",
    "192.88.99.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "100::1", "3fff::1", "5f00::1",
    # IPv6 addresses that stand for an IPv4 one.
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1",
    "64:ff9b:1::a00:1", "2002:7f00:1::", "2002:a00:1::1", "2001:0:7f00:1::1",
]  # fmt: skip
OUTWARD = ["93.184.216.34", "1.1.1.1", "100.63.255.255", "172.32.0.1", "2606:4700::1111", "::ffff:93.184.216.34"]


@pytest.fixture
def names(monkeypatch):
    """Let names lead where the test says: `names["x.example"] = ["10.0.0.1"]`."""
    known = {}
    real = socket.getaddrinfo

    def getaddrinfo(host, port, **options):
        if host not in known:
            return real(host, port, **{**options, "flags": socket.AI_NUMERICHOST})
        return [info for address in known[host] for info in real(address, port, **options)]

    monkeypatch.setattr(addresses.socket, "getaddrinfo", getaddrinfo)
    return known


def asked(url, **reach):
    return [str(one) for one in addresses_of(parse_url(url), reach=Reach(**reach), timeout_seconds=2)]


@pytest.mark.parametrize("address", INWARD)
def test_no_address_that_leads_inward_is_asked(address):
    assert not may_be_asked(ip_address(address))


@pytest.mark.parametrize("address", OUTWARD)
def test_a_global_address_is_asked(address):
    assert may_be_asked(ip_address(address))


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.20.1.1", "10.20.0.0/16"),
        ("127.0.0.1", "127.0.0.0/8"),
        ("::1", "::1/128"),
        ("::ffff:10.20.1.1", "10.20.0.0/16"),
    ],
)
def test_a_network_that_was_named_is_asked_and_no_other(address, network):
    networks = (ip_network(network),)
    assert may_be_asked(ip_address(address), networks=networks)
    assert not may_be_asked(ip_address("10.21.0.1"), networks=networks)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0x7f.1", "[::1]", "[::ffff:7f00:1]", "10.1", "0"],
)
def test_a_number_is_refused_however_it_is_written(names, host):
    with pytest.raises(Refused):
        # What this machine's resolver does not take for a number leads nowhere.
        asked(f"https://{host}/")


def test_a_name_is_judged_by_all_of_its_addresses(names):
    names.update({"out.example": ["93.184.216.34", "2606:4700::1111"], "both.example": ["93.184.216.34", "10.0.0.1"]})
    assert asked("https://out.example/") == ["93.184.216.34", "2606:4700::1111"]
    with pytest.raises(AddressRefused):
        asked("https://both.example/")


def test_http_will_do_where_it_was_allowed_alone(names):
    names["out.example"] = ["93.184.216.34"]
    with pytest.raises(Refused, match="no https URL"):
        asked("http://out.example/")
    assert asked("http://out.example/", plain_http=True) == ["93.184.216.34"]
    assert asked("http://127.0.0.1/", networks=[ip_network("127.0.0.0/8")]) == ["127.0.0.1"]


def test_a_name_without_address_is_said_to_be_so(names):
    with pytest.raises(NotResolved, match="leads to no address"):
        asked("https://nowhere.example/")


def test_a_name_whose_servers_keep_silent_holds_nobody_up(monkeypatch):
    go_on = threading.Event()
    monkeypatch.setattr(addresses.socket, "getaddrinfo", lambda *_, **__: go_on.wait(20) and [])
    began = time.monotonic()
    with pytest.raises(NotResolved, match="in time"):
        addresses_of(parse_url("https://slow.example/"), reach=Reach(), timeout_seconds=0.1)
    assert time.monotonic() - began < 5
    go_on.set()


def test_lookups_do_not_pile_up(monkeypatch):
    go_on = threading.Event()
    monkeypatch.setattr(addresses, "_lookups", threading.BoundedSemaphore(1))
    asked = []

    def slowly(host, *_, **__):
        asked.append(host)
        go_on.wait(20)
        return []

    monkeypatch.setattr(addresses.socket, "getaddrinfo", slowly)
    for _ in range(3):
        with pytest.raises(NotResolved):
            addresses_of(parse_url("https://slow.example/"), reach=Reach(), timeout_seconds=0.05)
    assert asked == ["slow.example"]
    go_on.set()


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("https://example.com", Url("https", "example.com", 443, "/")),
        ("HTTPS://Example.COM:8443/a%20b?c=d&e", Url("https", "example.com", 8443, "/a%20b?c=d&e")),
        ("http://[2606:4700::1111]/x", Url("http", "2606:4700::1111", 80, "/x")),
        ("https://example.com?x=1", Url("https", "example.com", 443, "/?x=1")),
    ],
)
def test_a_url_is_taken_apart(text, parts):
    assert parse_url(text) == parts


def test_the_host_header_names_a_port_that_is_not_usual():
    authorities = [parse_url(f"https://{host}/").authority for host in ("a.example", "a.example:443", "[::1]:8443")]
    assert authorities == ["a.example", "a.example", "[::1]:8443"]


@pytest.mark.parametrize(
    "text",
    [
        "", "example.com", "//example.com", "ftp://example.com", "file:///etc/passwd", "gopher://example.com",
        "https://", "https:///path", "https:example.com", "https://user@example.com", "https://user:pw@example.com",
        "https://example.com@evil.example", "https://example.com#x", "https://example.com/ x", "https://exa mple.com",
        "https://example.com\\@evil.example", "https://example.com/\r\nHost: evil", "https://example.com/\0",
        "https://ex\u00e4mple.com", "https://example.com/\u00e4", "https://example.com:0", "https://example.com:99999",
        "https://example.com:x", "https://[::1", "https://[fe80::1%25eth0]/", "https://.example.com",
        "https://exa%6dple.com", "https://" + "a" * 254, "https://example.com/" + "a" * 2_000,
    ],
)  # fmt: skip
def test_what_is_no_url_or_is_read_differently_is_refused(text):
    with pytest.raises(Refused) as refused:
        parse_url(text)
    assert refused.value.remedy
    assert "evil" not in str(refused.value)
