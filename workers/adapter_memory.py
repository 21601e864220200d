"""Adapters kept in memory within a bound of bytes, loaded ahead of their use by a few threads."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from workers.engine.serving_slots import PackedAdapter

# Loading waits for the object store more than it computes.
LOADING_THREADS = 4

Key = tuple[str, str]


@dataclass(frozen=True)
class Wanted:
    """An adapter that can be loaded: its identity and content digest, about how many bytes it takes, and how it comes.

    `load` runs in a thread of its own where the adapter is loaded ahead of its use.
    """

    key: Key
    size: int
    load: Callable[[], PackedAdapter] = field(repr=False)


@dataclass(frozen=True)
class CacheMetrics:
    """What is held, and what happened since the process began.

    A use is a hit where the adapter was there from an earlier use, else a miss. `bytes_held` counts what is on its way
    as well; `load_seconds` is the time of all loads, which overlap with each other and with computing.
    """

    adapters: int
    bytes_held: int
    hits: int
    misses: int
    evictions: int
    bytes_loaded: int
    load_seconds: float


@dataclass(eq=False)
class _Kept:
    bytes: int
    adapter: Future[PackedAdapter] = field(default_factory=Future)
    users: int = 0
    fresh: bool = True  # nobody has used it yet


class AdapterMemory:
    """The least recently used adapters leave first; one in use, or on its way, never does.

    An adapter that is larger than the whole bound is loaded for a use and not kept. Keys name immutable content, so
    what is kept is never stale.
    """

    def __init__(self, *, max_bytes: int, threads: int = LOADING_THREADS) -> None:
        self._max_bytes = max_bytes
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        self._hits = self._misses = self._evictions = self._bytes_loaded = 0
        self._load_seconds = 0.0

    def load_ahead(self, wanted: Iterable[Wanted]) -> None:
        """Begin to load, in this order, what is not there, as far as all of it fits together."""
        room = self._max_bytes
        for one in {one.key: one for one in wanted}.values():
            room -= one.size
            if room < 0:
                return
            with self._lock:
                kept = self._touch(one.key)
                if kept is not None:
                    continue
                kept = self._enter(one)
                self._pool = self._pool or ThreadPoolExecutor(self._threads, thread_name_prefix="adapters")
            try:
                self._pool.submit(self._fill, one, kept)
            except RuntimeError as problem:  # no further thread can be started: whoever needs it loads it
                with self._lock:
                    self._forget(one.key, kept)
                kept.adapter.set_exception(problem)
                return

    @contextmanager
    def use(self, wanted: Wanted) -> Iterator[PackedAdapter]:
        """The adapter, which stays inside; waits while it is on its way. Raises what its loading raises."""
        with self._lock:
            kept = self._touch(wanted.key)
            if kept is None or kept.fresh:
                self._misses += 1
            else:
                self._hits += 1
            absent = kept is None
            kept = kept or self._enter(wanted)
            kept.users += 1
            kept.fresh = False
        try:
            if absent:
                self._fill(wanted, kept)
            yield kept.adapter.result()
        finally:
            with self._lock:
                kept.users -= 1
                self._make_room()

    def held(self) -> list[Key]:
        """Of what is held or on its way."""
        with self._lock:
            return list(self._kept)

    def forget(self, keys: Iterable[Key]) -> None:
        """Let go of these at once. Who is using one has it to the end; one on its way is not kept when it comes."""
        with self._lock:
            for key in keys:
                kept = self._kept.get(key)
                if kept is not None:
                    self._forget(key, kept)

    def snapshot(self) -> CacheMetrics:
        with self._lock:
            return CacheMetrics(
                adapters=len(self._kept),
                bytes_held=self._bytes,
                hits=self._hits,
                misses=self._misses,
                evictions=self._evictions,
                bytes_loaded=self._bytes_loaded,
                load_seconds=self._load_seconds,
            )

    def _fill(self, wanted: Wanted, kept: _Kept) -> None:
        """Load, in whichever thread this is; who waits is given the adapter or the problem."""
        begun = time.perf_counter()
        try:
            adapter = wanted.load()
        except BaseException as problem:  # noqa: BLE001 - raised where the adapter is used
            with self._lock:
                self._forget(wanted.key, kept)  # the next use tries again
            kept.adapter.set_exception(problem)
            return
        with self._lock:
            if self._kept.get(wanted.key) is kept:
                self._bytes += adapter.nbytes - kept.bytes
            kept.bytes = adapter.nbytes
            self._bytes_loaded += adapter.nbytes
            self._load_seconds += time.perf_counter() - begun
            kept.adapter.set_result(adapter)
            self._make_room()

    # -- under the lock

    def _touch(self, key: Key) -> _Kept | None:
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
        return kept

    def _enter(self, wanted: Wanted) -> _Kept:
        kept = self._kept[wanted.key] = _Kept(bytes=wanted.size)
        self._bytes += kept.bytes
        self._make_room()
        return kept

    def _make_room(self) -> None:
        """Let go of adapters until the rest fits, or is in use or on its way."""
        # First what can never stay, so that it drives nobody else out.
        for key, kept in [(key, kept) for key, kept in self._kept.items() if kept.bytes > self._max_bytes]:
            self._evict(key, kept)
        too_large = sum(kept.bytes for kept in self._kept.values() if kept.bytes > self._max_bytes)
        for key, kept in list(self._kept.items()):
            if self._bytes - too_large <= self._max_bytes:
                return
            if kept.bytes <= self._max_bytes:
                self._evict(key, kept)

    def _evict(self, key: Key, kept: _Kept) -> None:
        if kept.users == 0 and kept.adapter.done():
            self._forget(key, kept)
            self._evictions += 1

    def _forget(self, key: Key, kept: _Kept) -> None:
        if self._kept.get(key) is kept:
            del self._kept[key]
            self._bytes -= kept.bytes
