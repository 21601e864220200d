"""What a program does to have files imported: say how large each is, and put it where it is told."""

import json
import urllib.request

UPLOADS, IMPORTS = "/api/v1/uploads", "/api/v1/imports"


def as_bytes(content):
    return content if isinstance(content, bytes) else json.dumps(content).encode()


def asked(api, content, *, filename="questions.json", **said):
    """An upload that nothing was put to yet, as the API tells of it."""
    answer = api.post(UPLOADS, {"filename": filename, "bytes": len(as_bytes(content)), **said})
    assert answer.status_code == 201, answer.json()
    return answer.json()


def put(upload, content):
    """Put `content` to the upload's address, as curl -T would. No key goes with it."""
    where = upload["put"]
    request = urllib.request.Request(where["url"], data=as_bytes(content), method=where["method"])
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200


def uploaded(api, content, **said):
    """The id of an upload that `content` was put to."""
    upload = asked(api, content, **said)
    put(upload, content)
    return upload["id"]
