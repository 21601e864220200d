"""The models of this process: base models, encoders, selectors, each loaded once and exactly as its record names it."""

from collections import OrderedDict
from threading import Lock
from typing import TypeVar

import torch
from django.conf import settings

from jobs.errors import Permanent
from retrieval_app.models import Encoder as EncoderRecord
from retrieval_app.models import TrainedModel
from retrieval_app.services import ensure_encoder
from training_app.adapters import ensure_base_model
from training_app.models import Adapter
from training_app.models import BaseModel as BaseModelRecord
from users_app import caches
from workers.engine.base_model import BaseModel, BaseModels
from workers.engine.encoder import Encoder, load_encoder
from workers.engine.generation import Generator
from workers.engine.memory import serving_room
from workers.engine.selector import Selector, load_selector
from workers.engine.sources import ModelRefused
from workers.engine.threads import limit_threads
from workers.model_names import TRAINED, base_model_source, encoder_source
from workers.quietness import quieten_transformers
from workers.trained_model_files import folder_of, require_usable

DTYPES = ("float32", "bfloat16")
_DTYPES = {name: getattr(torch, name) for name in DTYPES}
_KEPT = 2
# The highest rank that a GPU's memory is shared out for; higher ones are served all the same.
_SERVED_RANK = 64
_base_models = BaseModels(limit=_KEPT)
_generators: OrderedDict[tuple[int, str], Generator] = OrderedDict()
# One of each task would be loaded and let go of in turn with fewer.
_ENCODERS_KEPT = 8
_SELECTORS_KEPT = 8
_encoders: OrderedDict[tuple[str, str], Encoder] = OrderedDict()
# By the digest of their files.
_selectors: OrderedDict[str, Selector] = OrderedDict()
_lock = Lock()

_Key = TypeVar("_Key")
_Model = TypeVar("_Model")


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
    """The encoder of `record`; raises `ModelRefused` where what is here is another revision.

    One that was fine-tuned here is found by its `TrainedModel`: raises `Permanent` where that was withdrawn, or its
    files are not what was trained.
    """
    _prepare_process()
    key = (record.name, record.revision)
    trained = _trained(record) if record.name.startswith(TRAINED) else None
    with _lock:
        if key not in _encoders:
            location = encoder_source(record.name).location if trained is None else str(folder_of(trained))
            _encoders[key] = load_encoder(location, revision=record.revision, device=settings.MODEL_DEVICE)
        return _kept(_encoders, key, most=_ENCODERS_KEPT)


def _trained(record: EncoderRecord) -> TrainedModel:
    found = TrainedModel.objects.filter(encoder=record, withdrawn_at__isnull=True).first()
    if found is None:
        raise Permanent(f"The fine-tuned encoder {record} was withdrawn: it is not used any more.")
    return found


def selector(record: TrainedModel) -> Selector:
    """The selector of `record`. Raises `Permanent` where it was withdrawn, or its files are not what was trained."""
    _prepare_process()
    require_usable(record)
    with _lock:
        if record.content_digest not in _selectors:
            _selectors[record.content_digest] = _load_selector(record)
        return _kept(_selectors, record.content_digest, most=_SELECTORS_KEPT)


def _load_selector(record: TrainedModel) -> Selector:
    folder = folder_of(record)
    try:
        return load_selector(folder, device=settings.MODEL_DEVICE, name=str(record))
    except ModelRefused as problem:
        # They are the files that were recorded, so another attempt finds the same.
        raise Permanent(f"{record.get_kind_display()} {record.pk} cannot be used: {problem}") from None


def _kept(models: OrderedDict[_Key, _Model], key: _Key, *, most: int) -> _Model:
    """The model of `key`, which is now the last to go; those that were used longest ago go where there are too many."""
    models.move_to_end(key)
    while len(models) > most:
        models.popitem(last=False)
    return models[key]


def forget_gone_trained_models() -> None:
    """Let go of the selectors and fine-tuned encoders that no usable row stands for any more."""
    with _lock:
        held = {*_selectors, *(revision for name, revision in _encoders if name.startswith(TRAINED))}
    if not held:
        return
    standing = TrainedModel.objects.filter(content_digest__in=held, withdrawn_at__isnull=True)
    gone = held.difference(standing.values_list("content_digest", flat=True))
    with _lock:
        for digest in gone.intersection(_selectors):
            del _selectors[digest]
        for key in [key for key in _encoders if key[0].startswith(TRAINED) and key[1] in gone]:
            del _encoders[key]


caches.register(forget_gone_trained_models)


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
        _kept(_encoders, (source.name, found.revision), most=_ENCODERS_KEPT)
    return ensure_encoder(name=source.name, revision=found.revision, dimension=found.dimension)


def _prepare_process() -> None:
    limit_threads(settings.MODEL_THREADS)
    quieten_transformers()
