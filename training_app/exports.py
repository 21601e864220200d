"""What this app gives of a person: what was generated for them, their adapters with the files, and how these came."""

from collections.abc import Iterator

from django.db.models import F

from common.objects import ObjectMissing, get_store
from training_app.models import Adapter, Generation, Retraining, ServingChoice
from users_app.exporting import CHUNK, Exporter, ExportFile, json_lines
from users_app.models import EndUser, Workspace

_BLOCK_BYTES = 2**20


def _files(workspace: Workspace, end_user: EndUser) -> Iterator[ExportFile]:
    generations = Generation.objects.filter(end_user=end_user, end_user__workspace=workspace).order_by("pk")
    yield ExportFile(
        "generations.jsonl",
        json_lines(
            # By the candidates' names the scores of a selector can be read.
            generations.values(
                *_columns(Generation), model=F("base_model__name"), candidates=F("selector__pool")
            ).iterator(CHUNK)
        ),
    )
    adapters = Adapter.objects.filter(end_user=end_user, end_user__workspace=workspace).order_by("pk")
    yield ExportFile(
        "adapters.jsonl",
        json_lines(adapters.values(*_columns(Adapter), model=F("base_model__name")).iterator(CHUNK)),
    )
    # How much of a profile was learned from is counted from the rest.
    own = {"end_user": end_user, "end_user__workspace": workspace}
    for name, model in (("retrainings", Retraining), ("serving_choices", ServingChoice)):
        rows = model.objects.filter(**own).order_by("pk")
        yield ExportFile(
            f"{name}.jsonl", json_lines(rows.values(*_columns(model), model=F("base_model__name")).iterator(CHUNK))
        )
    usable = adapters.filter(withdrawn_at__isnull=True)
    for adapter_id, prefix in usable.values_list("pk", "object_prefix"):
        for info in get_store().list(prefix):
            name = info.key.removeprefix(prefix)
            yield ExportFile(f"adapters/{adapter_id}/{name}", _object(info.key), compressed=False)


def _columns(model: type[Adapter | Generation | Retraining | ServingChoice]) -> list[str]:
    """All of them but whose it is, who asked, and where it lies."""
    left_out = {"end_user", "api_key_id", "chosen_by", "object_prefix"}
    return [field.attname for field in model._meta.concrete_fields if field.name not in left_out]


def _object(key: str) -> Iterator[bytes]:
    """An object's bytes; none where it was deleted meanwhile."""
    try:
        with get_store().open_stream(key) as stream:
            while block := stream.read(_BLOCK_BYTES):
                yield block
    except ObjectMissing:
        return


EXPORTER = Exporter(name="training_app", files=_files)
