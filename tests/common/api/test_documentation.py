"""The API's description: valid, without warnings, and shown without anything from elsewhere."""

import json
import re
from io import StringIO

import pytest
from django.core.management import call_command

DOCS, DOCUMENT = "/api/v1/docs/", "/api/v1/openapi.json"


@pytest.fixture
def document(client):
    return json.loads(client.get(DOCUMENT).content)


def operations(document):
    paths = document["paths"].items()
    return [(path, method, operation) for path, methods in paths for method, operation in methods.items()]


def test_the_description_is_valid_and_without_warnings(tmp_path):
    call_command(
        "spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "openapi.yaml"), stdout=StringIO()
    )


def test_every_operation_says_its_scope_and_its_problems(document):
    for path, method, operation in operations(document):
        assert "Scope: `" in operation["description"], (method, path)
        for status in ("400", "401", "403", "404", "406", "429", "503"):
            content = operation["responses"][status]["content"]
            assert content == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


def test_operations_have_names_of_their_own(document):
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names))


def test_nothing_but_the_api_is_described(document):
    assert all(path.startswith("/api/v1/") for path in document["paths"])
    assert DOCUMENT not in document["paths"]


def test_every_operation_needs_a_key(document):
    assert all(operation["security"] == [{"apiKey": []}] for _, _, operation in operations(document))
    assert document["components"]["securitySchemes"]["apiKey"]["scheme"] == "bearer"


def test_an_unchanged_document_is_not_sent_again(client):
    etag = client.get(DOCUMENT).headers["ETag"]
    assert client.get(DOCUMENT, headers={"if-none-match": etag}).status_code == 304


def test_the_page_needs_nothing_from_elsewhere(client):
    page = client.get(DOCS).content.decode()
    addresses = re.findall(r'(?:src|href|url)\s*[=:]\s*"([^"]+)"', page)
    assert len(addresses) == 4
    assert "//" not in page.replace("// Without", "")
    answers = {address: client.get(address).status_code for address in addresses}
    assert set(answers.values()) == {200}


def test_neither_takes_anything(client):
    assert [client.post(address).status_code for address in (DOCS, DOCUMENT)] == [405, 405]
