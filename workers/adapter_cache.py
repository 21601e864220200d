"""Adapters on their way from the object store to a slot: kept in memory within a bound of bytes."""

import tempfile
from collections import OrderedDict
from pathlib import Path
from threading import Lock

from django.conf import settings

from common.objects import ObjectMissing, get_store
from jobs.errors import Permanent
from training_app.adapters import withdraw_adapter
from training_app.models import Adapter
from workers.engine.adapter_files import AdapterRefused, folder_digest, read_peft_folder
from workers.engine.adapters import AdapterWeights
from workers.engine.base_model import BaseModel

_FILES = ("adapter_config.json", "adapter_model.safetensors")


class AdapterDamaged(Exception):
    """The stored files are not the ones that were recorded."""


class AdapterCache:
    """Least recently used adapters leave first. Versions are immutable, so what is kept is never stale."""

    def __init__(self, *, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, AdapterWeights] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def get(self, adapter: Adapter, *, base: BaseModel) -> AdapterWeights:
        """The weights of `adapter`, from memory or from the object store.

        Raises `Permanent` where the stored files are not what was trained: their digest or form differs.
        """
        with self._lock:
            kept = self._kept.get(adapter.identity)
            if kept is not None:
                self._kept.move_to_end(adapter.identity)
                return kept
        weights = fetch_adapter(adapter, base=base)
        with self._lock:
            if adapter.identity not in self._kept:
                self._kept[adapter.identity] = weights
                self._bytes += weights.nbytes
            while self._bytes > self._max_bytes and len(self._kept) > 1:
                _, evicted = self._kept.popitem(last=False)
                self._bytes -= evicted.nbytes
        return weights


def fetch_adapter(adapter: Adapter, *, base: BaseModel) -> AdapterWeights:
    """Download an adapter's folder, check it against its record, and read it.

    Raises `Permanent` where it is not what was trained; it is then withdrawn, so that it can be trained anew.
    """
    with tempfile.TemporaryDirectory(prefix="lamppost-adapter-") as name:
        try:
            download_adapter(adapter, folder=Path(name))
            return read_peft_folder(Path(name), base=base, max_bytes=adapter.size_bytes)
        except (AdapterDamaged, AdapterRefused, ObjectMissing) as problem:
            withdraw_adapter(adapter=adapter)
            raise Permanent(
                f"Adapter {adapter.pk} cannot be used and was withdrawn: {problem} Start again to have it trained anew."
            ) from None


def download_adapter(adapter: Adapter, *, folder: Path) -> None:
    """Put the files of `adapter` into `folder`, a plain PEFT folder.

    Raises `AdapterDamaged` where their digest differs, `ObjectMissing` where they are gone.
    """
    store = get_store()
    for file in _FILES:
        store.download(adapter.object_prefix + file, folder / file)
    if folder_digest(folder) != adapter.content_digest:
        raise AdapterDamaged("What is in the object store is not what was trained: its digest differs.")


adapter_cache = AdapterCache(max_bytes=settings.ADAPTER_CACHE_BYTES)
