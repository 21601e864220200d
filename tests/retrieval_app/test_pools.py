import pytest

from retrieval_app.pools import Member, PoolRefused, encoders_of_pool, pool_names, read_pool
from retrieval_app.services import ensure_encoder
from tests.retrieval_app.trained import trained

POOL = [
    {"retriever": "none"},
    {"retriever": "bm25"},
    {"retriever": "contriever", "encoder": "small", "encoder_revision": "abc"},
]


def test_a_stored_pool_is_read_in_its_order_and_stored_as_it_was():
    members = read_pool(POOL)
    assert members == (Member("none"), Member("bm25"), Member("contriever", "small", "abc"))
    assert [member.as_stored() for member in members] == POOL
    assert pool_names(POOL) == ["none", "bm25", "contriever"]


@pytest.mark.parametrize(
    ("stored", "why"),
    [
        (None, "a list of 2"),
        ("bm25", "a list of 2"),
        ([{"retriever": "bm25"}], "a list of 2"),
        ([{"retriever": "bm25"}] * 17, "a list of 2"),
        ([{"retriever": "bm25"}, {"retriever": "bm25"}], "stands twice"),
        ([{"retriever": "bm25"}, {"retriever": "rspg-pre"}], "holds none"),
        ([{"retriever": "bm25"}, {"retriever": "contriever"}], "names its encoder"),
        ([{"retriever": "bm25"}, {"retriever": "none", "encoder": "a", "encoder_revision": "b"}], "names its encoder"),
        ([{"retriever": "bm25"}, {"retriever": 3}], "has a retriever"),
        ([{"retriever": "bm25"}, {"name": "none"}], "has a retriever"),
        ([{"retriever": "bm25"}, "none"], "has a retriever"),
    ],
)
def test_what_is_no_pool_is_refused_with_the_reason(stored, why):
    with pytest.raises(PoolRefused, match=why):
        read_pool(stored)


def test_dense_members_have_the_encoders_on_record(db):
    encoder = ensure_encoder(name="small", revision="abc", dimension=2)
    assert encoders_of_pool(read_pool(POOL)) == {"contriever": encoder}


def test_a_pool_with_an_encoder_that_is_not_on_record_is_refused(db):
    ensure_encoder(name="small", revision="other", dimension=2)
    with pytest.raises(PoolRefused, match="not recorded"):
        encoders_of_pool(read_pool(POOL))


def test_a_pool_with_an_encoder_that_was_withdrawn_is_refused(workspace):
    encoder = ensure_encoder(name="small", revision="abc", dimension=2)
    trained(workspace, "ropg-kd", encoder=encoder, withdrawn_at="2026-01-01T00:00Z")
    with pytest.raises(PoolRefused, match="was withdrawn: train the selector anew"):
        encoders_of_pool(read_pool(POOL))
    trained(workspace, "ropg-kd", encoder=encoder)
    assert encoders_of_pool(read_pool(POOL)) == {"contriever": encoder}
