"""What this app gives of a person: who they are, and their profile, task by task."""

from collections.abc import Iterator

from users_app.exporting import CHUNK, Exporter, ExportFile, file_name, json_lines
from users_app.models import Document, EndUser, Workspace
from users_app.selectors import profile_entries


def _files(workspace: Workspace, end_user: EndUser) -> Iterator[ExportFile]:
    who = {
        "id": end_user.external_id,
        "created_at": end_user.created_at,
        "agreed_to_shared_training_at": end_user.agreed_to_shared_training_at,
    }
    yield ExportFile("end_user.json", json_lines([who]))
    own = Document.objects.filter(end_user=end_user, end_user__workspace=workspace)
    for task in own.order_by("task").values_list("task", flat=True).distinct():
        live = profile_entries(workspace=workspace, end_user=end_user).filter(task=task)
        profile = live.order_by("position").values_list("client_id", "document__fields", "added_at")
        others = own.filter(task=task).exclude(pk__in=live.values("document_id")).order_by("pk")
        yield ExportFile(
            f"profile/{file_name(task)}.jsonl",
            json_lines({"id": name, "fields": fields, "added_at": at} for name, fields, at in profile.iterator(CHUNK)),
        )
        # Replaced ones, and those that only questions of a dataset name.
        yield ExportFile(
            f"former_documents/{file_name(task)}.jsonl",
            json_lines(
                {"fields": fields, "stored_at": at}
                for fields, at in others.values_list("fields", "created_at").iterator(CHUNK)
            ),
        )


EXPORTER = Exporter(name="users_app", files=_files)
