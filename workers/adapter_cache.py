"""Adapters on their way from the object store to a slot."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from django.conf import settings

from common.objects import ObjectMissing, get_store
from jobs.errors import Permanent
from training_app.adapters import withdraw_adapter
from training_app.models import Adapter
from users_app import caches
from workers.adapter_memory import AdapterMemory, CacheMetrics, Wanted
from workers.engine.adapter_files import AdapterRefused, folder_digest, read_peft_folder
from workers.engine.adapters import AdapterWeights
from workers.engine.base_model import BaseModel
from workers.engine.serving_slots import PackedAdapter, pack

_FILES = ("adapter_config.json", "adapter_model.safetensors")


class AdapterDamaged(Exception):
    """The stored files are not the ones that were recorded."""


@dataclass(frozen=True)
class StoredAdapter:
    """A recorded adapter as generation asks for it: moved into a slot when its turn comes, by the way of `memory`."""

    record: Adapter
    base: BaseModel
    memory: AdapterMemory

    @property
    def digest(self) -> str:
        return self.record.content_digest

    @property
    def rank(self) -> int:
        return self.record.rank

    @contextmanager
    def held(self) -> Iterator[PackedAdapter]:
        """The adapter, which is not let go of inside.

        Raises `Permanent` where it is not what was trained; it is then withdrawn, so that it can be trained anew.
        """
        with _withdrawing(self.record), self.memory.use(self.wanted()) as packed:
            yield packed

    def wanted(self) -> Wanted:
        """What loads it. Neither reads nor writes the database, so any thread may."""
        return Wanted(
            key=(self.record.identity, self.record.content_digest),
            size=self.record.size_bytes,
            load=partial(_packed, self.record, self.base),
        )


class AdapterCache:
    """The adapters of this process, least recently used first out.

    Versions are immutable and found by identity and content, so what is kept is never stale.
    """

    def __init__(self, *, max_bytes: int) -> None:
        self._memory = AdapterMemory(max_bytes=max_bytes)

    def source(self, adapter: Adapter, *, base: BaseModel) -> StoredAdapter:
        """Where generation has `adapter` from. Raises `Permanent` where it was withdrawn."""
        if adapter.withdrawn_at is not None:
            raise Permanent(f"Adapter {adapter.pk} was withdrawn. Start again to have it trained anew.")
        return StoredAdapter(adapter, base, self._memory)

    def load_ahead(self, sources: Iterable[StoredAdapter]) -> None:
        """Begin to load them in this order, beside whatever is computed meanwhile."""
        self._memory.load_ahead(source.wanted() for source in sources)

    def forget_gone(self) -> None:
        """Let go of the adapters that no usable row stands for any more."""
        held = self._memory.held()
        standing = Adapter.objects.filter(identity__in={identity for identity, _ in held}, withdrawn_at__isnull=True)
        known = set(standing.values_list("identity", "content_digest"))
        self._memory.forget(key for key in held if key not in known)

    def snapshot(self) -> CacheMetrics:
        """What is held, and what happened so far."""
        return self._memory.snapshot()


def fetch_adapter(adapter: Adapter, *, base: BaseModel) -> AdapterWeights:
    """Download an adapter's folder, check it against its record, and read it.

    Raises `Permanent` where it is not what was trained; it is then withdrawn, so that it can be trained anew.
    """
    with _withdrawing(adapter):
        return _read(adapter, base)


def download_adapter(adapter: Adapter, *, folder: Path) -> None:
    """Put the files of `adapter` into `folder`, a plain PEFT folder.

    Raises `AdapterDamaged` where their digest differs, `ObjectMissing` where they are gone.
    """
    store = get_store()
    for file in _FILES:
        store.download(adapter.object_prefix + file, folder / file)
    if folder_digest(folder) != adapter.content_digest:
        raise AdapterDamaged("What is in the object store is not what was trained: its digest differs.")


def _packed(adapter: Adapter, base: BaseModel) -> PackedAdapter:
    return pack(base.projections, _read(adapter, base))


def _read(adapter: Adapter, base: BaseModel) -> AdapterWeights:
    with tempfile.TemporaryDirectory(prefix="lamppost-adapter-") as name:
        download_adapter(adapter, folder=Path(name))
        return read_peft_folder(Path(name), base=base, max_bytes=adapter.size_bytes)


@contextmanager
def _withdrawing(adapter: Adapter) -> Iterator[None]:
    """Withdraw `adapter` where what happens inside shows that it cannot be used."""
    try:
        yield
    except (AdapterDamaged, AdapterRefused, ObjectMissing) as problem:
        withdraw_adapter(adapter=adapter)
        raise Permanent(
            f"Adapter {adapter.pk} cannot be used and was withdrawn: {problem} Start again to have it trained anew."
        ) from None


adapter_cache = AdapterCache(max_bytes=settings.ADAPTER_CACHE_BYTES)
caches.register(adapter_cache.forget_gone)
