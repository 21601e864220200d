"""The base models and encoders of this process, each loaded once and at exactly the revision its record names."""

from collections import OrderedDict
from threading import Lock

import torch
from django.conf import settings

from retrieval_app.models import Encoder as EncoderRecord
from retrieval_app.services import ensure_encoder
from training_app.adapters import ensure_base_model
from training_app.models import Adapter
from training_app.models import BaseModel as BaseModelRecord
from users_app import caches
from workers.engine.base_model import BaseModel, BaseModels
from workers.engine.encoder import Encoder, load_encoder
from workers.engine.generation import Generator
from workers.engine.memory import serving_room
from workers.engine.threads import limit_threads
from workers.model_names import base_model_source, encoder_source
from workers.quietness import quieten_transformers

DTYPES = ("float32", "bfloat16")
_DTYPES = {name: getattr(torch, name) for name in DTYPES}
_KEPT = 2
# The highest rank that a GPU's memory is shared out for; higher ones are served all the same.
_SERVED_RANK = 64
_base_models = BaseModels(limit=_KEPT)
_generators: OrderedDict[tuple[int, str], Generator] = OrderedDict()
_encoders: dict[tuple[str, str], Encoder] = {}
_lock = Lock()


def base_model(record: BaseModelRecord, *, dtype: str) -> BaseModel:
    """The frozen base model of `record` in "float32" or "bfloat16".

    Raises `ModelRefused` where what is here is another revision.
    """
    _prepare_process()
    return _base_models.get(
        base_model_source(record.name).location,
        revision=record.revision,
        device=settings.MODEL_DEVICE,
        dtype=_DTYPES[dtype],
        name=record.name,
    )


def generator(record: BaseModelRecord, *, dtype: str) -> Generator:
    """What generates with the base model of `record`; it outlives a batch, and so do the adapters in its slots."""
    base = base_model(record, dtype=dtype)
    key = (record.pk, dtype)
    with _lock:
        kept = _generators.get(key)
        if kept is None or kept.base is not base:
            room = serving_room(base, rank=_SERVED_RANK)
            kept = _generators[key] = Generator(
                base, slots=room.slots, max_rows=room.rows, max_batch_tokens=room.batch_tokens
            )
        _generators.move_to_end(key)
        while len(_generators) > _KEPT:
            _generators.popitem(last=False)
        return kept


def forget_gone_adapters() -> None:
    """Empty the slots of adapters that no usable row stands for any more."""
    with _lock:
        generators = list(_generators.values())
    for one in generators:
        held = one.digests()
        standing = Adapter.objects.filter(content_digest__in=held, withdrawn_at__isnull=True)
        known = set(standing.values_list("content_digest", flat=True))
        gone = [digest for digest in held if digest not in known]
        if gone:
            one.forget(gone)


caches.register(forget_gone_adapters)


def encoder(record: EncoderRecord) -> Encoder:
    """The encoder of `record`; raises `ModelRefused` where what is here is another revision."""
    _prepare_process()
    key = (record.name, record.revision)
    with _lock:
        if key not in _encoders:
            _encoders[key] = load_encoder(
                encoder_source(record.name).location, revision=record.revision, device=settings.MODEL_DEVICE
            )
        return _encoders[key]


def record_base_model(name: str, *, dtype: str) -> BaseModelRecord:
    """Load the base model that `name` stands for today, and record it with its revision.

    Raises `ModelUnavailable` or `ModelRefused`.
    """
    _prepare_process()
    source = base_model_source(name)
    found = _base_models.get(
        source.location,
        revision=source.revision,
        device=settings.MODEL_DEVICE,
        dtype=_DTYPES[dtype],
        name=source.name,
    )
    return ensure_base_model(name=source.name, revision=found.revision)


def record_encoder(name: str) -> EncoderRecord:
    """Load the encoder that `name` stands for today, and record it with its revision and dimension.

    Raises `ModelUnavailable` or `ModelRefused`.
    """
    _prepare_process()
    source = encoder_source(name)
    found = load_encoder(source.location, revision=source.revision, device=settings.MODEL_DEVICE)
    with _lock:
        _encoders[source.name, found.revision] = found
    return ensure_encoder(name=source.name, revision=found.revision, dimension=found.dimension)


def _prepare_process() -> None:
    limit_threads(settings.MODEL_THREADS)
    quieten_transformers()
