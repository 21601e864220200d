"""What this app gives of a person: which models learned from their data. The models themselves are nobody's alone."""

from collections.abc import Iterator

from retrieval_app.models import TrainedModel
from users_app.exporting import CHUNK, Exporter, ExportFile, json_lines
from users_app.models import EndUser, Workspace


def _files(workspace: Workspace, end_user: EndUser) -> Iterator[ExportFile]:
    taken_part = TrainedModel.objects.filter(
        workspace=workspace, participants__end_user=end_user, participants__end_user__workspace=workspace
    )
    columns = ("id", "kind", "tasks", "base_model", "created_at", "withdrawn_at")
    rows = taken_part.order_by("pk").values(*columns)
    if rows.exists():
        yield ExportFile("trained_models.jsonl", json_lines(rows.iterator(CHUNK)))


EXPORTER = Exporter(name="retrieval_app", files=_files)
