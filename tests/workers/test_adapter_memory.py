"""The bounded memory between the object store and the slots."""

import threading

import pytest
import torch

from workers.adapter_memory import AdapterMemory, Wanted
from workers.engine.serving_slots import PackedAdapter

PATIENCE = 20.0


def packed(name: str, size: int) -> PackedAdapter:
    return PackedAdapter((torch.zeros(1, size, dtype=torch.int8),), 1, 1.0, name)


class Store:
    """Counts what is loaded from it."""

    def __init__(self) -> None:
        self.loads: list[str] = []

    def wanted(self, name: str, size: int = 10, *, digest: str = "v1") -> Wanted:
        def load() -> PackedAdapter:
            self.loads.append(name)
            return packed(f"{name}-{digest}", size)

        return Wanted(key=(name, digest), size=size, load=load)


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def memory():
    return AdapterMemory(max_bytes=30)


def use(memory: AdapterMemory, wanted: Wanted) -> str:
    with memory.use(wanted) as adapter:
        return adapter.digest


def test_what_was_used_is_not_loaded_again(memory, store):
    for _ in range(3):
        use(memory, store.wanted("a"))
    assert store.loads == ["a"]
    found = memory.snapshot()
    assert (found.hits, found.misses, found.bytes_loaded, found.bytes_held) == (2, 1, 10, 10)


def test_the_least_recently_used_leaves_when_the_bytes_are_too_many(memory, store):
    for name in ("a", "b", "c", "a", "d", "a", "b"):
        use(memory, store.wanted(name))
    assert store.loads == ["a", "b", "c", "d", "b"]
    found = memory.snapshot()
    assert (found.evictions, found.bytes_held, found.adapters) == (2, 30, 3)


def test_bytes_count_and_not_adapters(memory, store):
    for name, size in (("a", 10), ("b", 10), ("c", 25), ("c", 25)):
        use(memory, store.wanted(name, size))
    assert memory.snapshot().bytes_held == 25
    assert store.loads == ["a", "b", "c"]


def test_an_adapter_in_use_never_leaves(memory, store):
    with memory.use(store.wanted("mine", 20)) as mine:
        for name in ("a", "b", "c"):
            use(memory, store.wanted(name, 20))
        with memory.use(store.wanted("mine", 20)) as again:
            assert again is mine
    assert store.loads == ["mine", "a", "b", "c"]
    assert memory.snapshot().bytes_held <= 30


def test_an_adapter_larger_than_the_bound_is_served_and_not_kept(memory, store):
    for name in ("a", "b"):
        use(memory, store.wanted(name))
    with memory.use(store.wanted("huge", 31)) as huge:
        assert huge.nbytes == 31
        assert memory.snapshot().bytes_held == 51
    assert memory.snapshot().bytes_held == 20
    for name in ("a", "b", "huge"):
        use(memory, store.wanted(name, 31 if name == "huge" else 10))
    assert store.loads == ["a", "b", "huge", "huge"]


def test_versions_are_kept_apart(memory, store):
    asked = ["v1", "v2", "v1", "v2"]
    assert [use(memory, store.wanted("a", digest=digest)) for digest in asked] == [f"a-{digest}" for digest in asked]
    assert len(store.loads) == 2


def test_loading_ahead_goes_on_beside_whoever_asked_for_it(memory, store):
    go, there = threading.Event(), threading.Event()

    def slow() -> PackedAdapter:
        assert go.wait(PATIENCE)
        there.set()
        return packed("slow", 10)

    memory.load_ahead([Wanted(key=("slow", "v1"), size=10, load=slow), store.wanted("quick")])
    assert use(memory, store.wanted("quick")) == "quick-v1"  # while the other one is still on its way
    go.set()
    assert there.wait(PATIENCE)
    assert use(memory, Wanted(key=("slow", "v1"), size=10, load=pytest.fail)) == "slow"
    assert memory.snapshot().misses == 2


def test_no_more_is_loaded_ahead_than_fits_together(memory, store):
    memory.load_ahead([store.wanted("a", 15), store.wanted("b", 15), store.wanted("c", 15)])
    for name in ("a", "b"):
        use(memory, store.wanted(name, 15))
    assert sorted(store.loads) == ["a", "b"]
    assert memory.snapshot().evictions == 0


def test_two_who_want_one_adapter_wait_for_one_load(memory):
    go, begun = threading.Event(), threading.Event()
    loads, found = [], []

    def slow() -> PackedAdapter:
        loads.append(1)
        begun.set()
        assert go.wait(PATIENCE)
        return packed("slow", 10)

    wanted = Wanted(key=("slow", "v1"), size=10, load=slow)
    askers = [threading.Thread(target=lambda: found.append(use(memory, wanted))) for _ in range(3)]
    askers[0].start()
    assert begun.wait(PATIENCE)
    for asker in askers[1:]:
        asker.start()
    go.set()
    for asker in askers:
        asker.join(PATIENCE)
    assert (found, loads) == (["slow"] * 3, [1])


@pytest.mark.parametrize("ahead", [True, False])
def test_a_failure_is_raised_where_the_adapter_is_used_and_the_next_use_tries_again(memory, store, ahead):
    def broken() -> PackedAdapter:
        raise LookupError("the store is away")

    wanted = Wanted(key=("a", "v1"), size=10, load=broken)
    if ahead:
        memory.load_ahead([wanted])
    with pytest.raises(LookupError, match="away"):
        use(memory, wanted)
    assert memory.snapshot().bytes_held == 0
    assert use(memory, store.wanted("a")) == "a-v1"


def test_many_threads_never_break_the_count_of_bytes(store):
    memory = AdapterMemory(max_bytes=55)
    wrong = []

    def work(offset: int) -> None:
        for number in range(300):
            name = str((number * (offset + 3)) % 13)
            digest = use(memory, store.wanted(name, 5 + int(name)))
            if digest != f"{name}-v1":
                wrong.append(digest)
            if number % 7 == 0:
                memory.load_ahead([store.wanted(str(other), 5 + other) for other in range(5)])

    threads = [threading.Thread(target=work, args=(offset,)) for offset in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert wrong == []
    for name in range(13):  # waits for what is still on its way
        use(memory, store.wanted(str(name), 5 + name))
    found = memory.snapshot()
    assert 0 < found.bytes_held <= 55
    assert found.bytes_held == sum(kept.bytes for kept in memory._kept.values())


class TestForgetting:
    def test_takes_out_what_is_named_and_leaves_the_rest(self, memory, store):
        for name in "ab":
            use(memory, store.wanted(name))
        memory.forget([("a", "v1"), ("never seen", "v1")])
        assert memory.held() == [("b", "v1")]
        assert memory.snapshot().bytes_held == 10

    def test_leaves_whoever_uses_it_with_it(self, memory, store):
        with memory.use(store.wanted("a")) as adapter:
            memory.forget([("a", "v1")])
            assert adapter.digest == "a-v1"
        assert memory.held() == []
        assert memory.snapshot().bytes_held == 0

    def test_keeps_nothing_that_was_on_its_way(self, memory):
        may_come = threading.Event()

        def load() -> PackedAdapter:
            may_come.wait(PATIENCE)
            return packed("a-v1", 15)

        wanted = Wanted(key=("a", "v1"), size=10, load=load)
        memory.load_ahead([wanted])
        memory.forget([wanted.key])
        may_come.set()
        memory._pool.shutdown(wait=True)
        assert memory.held() == []
        assert memory.snapshot().bytes_held == 0
