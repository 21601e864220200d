"""Which base models there are, by the names that clients use; the process that asks needs no torch for it.

A row is written by the worker that has loaded the model and so knows its revision. `manage.py serve` asks for the
default one at its start, so that a fresh installation has it before its first client comes.
"""

from functools import lru_cache
from pathlib import Path
from typing import Final

from django.conf import settings
from django.db.models import Q, QuerySet

from common.api.problems import FieldError, Problem, invalid_input
from common.compiled_queries import CompiledQuery
from common.model_names import public_name, without_paths
from jobs.models import Job
from jobs.outcomes import failure_of_last
from jobs.services import JobSpec, enqueue
from training_app.kinds import RECORD_DEFAULT_MODELS
from training_app.models import BaseModel

# So many characters of a revision, or more, name it.
_LEAST_REVISION: Final = 7
_NAMES_SHOWN: Final = 20
_READY_SOON_SECONDS: Final = 5
_ORIGIN: Final = "default-models"


class UnknownBaseModel(LookupError):
    """No base model of that name is recorded here; the message says which are."""


class DefaultModelNotReady(LookupError):
    """The default base model is not recorded yet: no worker has loaded it so far. One was asked to."""


def default_dtype() -> str:
    """The precision in which this installation runs base models unless told otherwise."""
    return "float32" if settings.MODEL_DEVICE == "cpu" else "bfloat16"


def base_models() -> QuerySet[BaseModel]:
    """All that were ever loaded here, the newest first."""
    return BaseModel.objects.order_by("-pk")


def models_named(name: str) -> QuerySet[BaseModel]:
    """Those of this name without a revision, the newest first; a folder has the name of its last part, too."""
    called = Q(name=name)
    if name and "/" not in name:
        called |= Q(name__startswith="/", name__endswith=f"/{name}")
    return base_models().filter(called)


def base_model_named(name: str | None) -> BaseModel:
    """The base model that a client calls `name`, the default one for None.

    "NAME" is the newest revision of it, "NAME@REVISION" that one (its first 7 characters or more will do).

    Raises `UnknownBaseModel`; for the default one, `DefaultModelNotReady`.
    """
    if name is None or name == settings.DEFAULT_BASE_MODEL:
        return default_base_model()
    found = _named(name)
    if found is None:
        names = dict.fromkeys(public_name(name) for name in base_models().values_list("name", flat=True))
        known = ", ".join(list(names)[:_NAMES_SHOWN])
        raise UnknownBaseModel(f"There is no base model of that name here; there are: {known or 'none yet'}.")
    return found


def default_base_model() -> BaseModel:
    """The one that `DEFAULT_BASE_MODEL` names.

    Raises `DefaultModelNotReady` until a worker has loaded it, which is asked for here: call it outside of a
    transaction that the error would roll back.
    """
    found = default_or_none()
    if found is None:
        failure = failure_of_last(_ORIGIN)
        request_default_models()
        raise DefaultModelNotReady(
            "The default base model has not been loaded yet. Try again in a few seconds; if that lasts, see whether a "
            "worker of the queue “model” is running." + (f" The last attempt failed: {failure}" if failure else "")
        )
    return found


def default_or_none() -> BaseModel | None:
    """The one that `DEFAULT_BASE_MODEL` names, None where no worker has loaded it yet."""
    name = settings.DEFAULT_BASE_MODEL
    # A folder is recorded by its whole path. A hub's branch or tag is known to the hub alone: then the newest of the
    # model's revisions that was recorded here.
    return _named(name) or _named(str(Path(name).resolve())) or _named(_location(name))


def asked_base_model(name: str | None, *, at: str = "") -> BaseModel:
    """`base_model_named` for a request in whose body the name stands at the JSON pointer `at` + "/base_model".

    Raises Problem 400 `invalid-input`, or 409 `base-model-not-ready`.
    """
    try:
        return base_model_named(name)
    except UnknownBaseModel as unknown:
        remedy = "Use a name that GET /api/v1/base-models lists, or leave it out."
        raise invalid_input(FieldError(f"{at}/base_model", str(unknown), remedy)) from None
    except DefaultModelNotReady as not_ready:
        raise Problem(
            409,
            "base-model-not-ready",
            without_paths(str(not_ready)),
            headers={"Retry-After": str(_READY_SOON_SECONDS)},
        ) from None


def request_default_models() -> Job:
    """Have a worker load and record the default models; asking twice is asking once."""
    return enqueue(
        JobSpec(kind=RECORD_DEFAULT_MODELS.name, origin=_ORIGIN, priority=10, dedupe_key=RECORD_DEFAULT_MODELS.name)
    )


def _named(name: str) -> BaseModel | None:
    if "\0" in name:
        # PostgreSQL cannot even be asked for it.
        return None
    by_name: BaseModel | None = _newest_named(name).first()
    if by_name is not None:
        return by_name
    location, at, revision = name.rpartition("@")
    if not at or not location or len(revision) < _LEAST_REVISION:
        return None
    return models_named(location).filter(revision__startswith=revision).first()


@lru_cache(maxsize=100)
def _newest_named(name: str) -> CompiledQuery:
    """For the few names that are asked for again and again."""
    return CompiledQuery(lambda: models_named(name)[:1])


def _location(name: str) -> str:
    location, at, _ = name.rpartition("@")
    return location if at and location else name
