"""New documents are embedded at once, by a job."""

from collections.abc import Set

from jobs.services import JobSpec, enqueue_many
from retrieval_app.encoders import default_encoder_name
from retrieval_app.kinds import EMBED_DOCUMENTS
from users_app.models import EndUser, Workspace


def embed_new_documents(*, workspace: Workspace, end_user: EndUser, tasks: Set[str]) -> None:
    """Ask for the vectors of what this end user has for `tasks`, under the installation's encoder.

    The job names the encoder as the settings do: which revision that is, the worker knows that has loaded it. There is
    no dedupe key: a job under way may have read the profile already, and one that finds nothing left costs little.
    """
    enqueue_many(
        JobSpec(
            kind=EMBED_DOCUMENTS.name,
            payload={"encoder": default_encoder_name(), "task": task, "end_user_ids": [end_user.pk]},
            workspace_id=workspace.pk,
            end_user_id=end_user.pk,
        )
        for task in sorted(tasks)
    )
