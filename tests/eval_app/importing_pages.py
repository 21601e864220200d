"""What tests of imports through pages share: drafts whose files are in the object store."""

import json
import urllib.request

from eval_app.dataset_imports import create_draft, place_for_upload, request_check
from eval_app.models import DatasetImport
from jobs.runner import run_waiting
from users_app.audit import INSTALLATION


def as_bytes(content):
    return content if isinstance(content, bytes) else json.dumps(content).encode()


def draft(workspace, **told):
    return create_draft(
        **{"workspace": workspace, "dataset": "mine", "split": "dev", "source": "files", "by": INSTALLATION, **told}
    )


def bring(dataset_import, place, content, *, name=None):
    """Put `content` to where the import wants it, as a browser does."""
    content = as_bytes(content)
    address = place_for_upload(
        workspace=dataset_import.workspace,
        dataset_import_id=dataset_import.pk,
        place=place,
        name=name or f"dev_{place}.json",
        size=len(content),
    )
    with urllib.request.urlopen(urllib.request.Request(address.url, data=content, method="PUT")) as answer:
        assert answer.status == 200
    dataset_import.refresh_from_db()


def checked(workspace, questions, golds=None, **told) -> DatasetImport:
    """A draft whose files have come and were checked."""
    made = draft(workspace, **told)
    if made.source == "archive":
        bring(made, "archive", questions, name="LaMP_7.zip")
    else:
        bring(made, "questions", questions)
        if golds is not None:
            bring(made, "outputs", golds)
    request_check(workspace=workspace, dataset_import_id=made.pk)
    run_waiting(["check_import"])
    made.refresh_from_db()
    return made
