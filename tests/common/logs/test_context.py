"""What every line of the log carries, and for how long."""

import threading

import pytest

from common.logs.context import bind, binding, bound


def test_ids_are_bound_for_a_block():
    with binding(request_id="r1"):
        assert bound() == {"request_id": "r1"}
    assert bound() == {}


def test_what_is_bound_within_a_block_ends_with_it():
    with binding(request_id="r1"):
        bind(workspace_id=7)
        assert bound() == {"request_id": "r1", "workspace_id": 7}
    assert bound() == {}


def test_an_inner_block_gives_back_what_was_bound_before():
    with binding(request_id="r1"):
        with binding(job_id=3, request_id=None):
            assert bound() == {"job_id": 3}
        assert bound() == {"request_id": "r1"}


def test_outside_a_block_nothing_is_bound():
    bind(workspace_id=7)
    assert bound() == {}


def test_a_block_that_fails_ends_too():
    with pytest.raises(RuntimeError), binding(job_id=3):
        raise RuntimeError
    assert bound() == {}


def test_threads_know_nothing_of_each_other():
    seen = []
    with binding(job_id=3):
        thread = threading.Thread(target=lambda: seen.append(dict(bound())))
        thread.start()
        thread.join()
    assert seen == [{}]


def test_the_log_has_no_place_for_an_end_user():
    with pytest.raises(ValueError, match="end_user_id"):
        bind(end_user_id=5)
