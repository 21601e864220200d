import numpy as np

from retrieval_app.selectors import end_users_to_embed, inner_products, unembedded_documents
from tests.people import OF_ALICE, OF_BOB, TWEETS, tweets_of
from tests.retrieval_app.vectors import an_encoder, embed, vectors


def unembedded(end_user, encoder, *, workspace=None, task=TWEETS):
    return list(
        unembedded_documents(workspace=workspace or end_user.workspace, end_user=end_user, task=task, encoder=encoder)
    )


def products(end_user, encoder, query, *, documents=None, workspace=None, task=TWEETS):
    documents = tweets_of(end_user) if documents is None else documents
    return inner_products(
        workspace=workspace or end_user.workspace,
        end_user=end_user,
        task=task,
        encoder=encoder,
        document_ids=[document.pk for document in documents],
        query_vector=query,
    )


def test_what_has_no_vector_yet_waits(alice):
    encoder = an_encoder()
    first, *rest = tweets_of(alice)
    embed(alice, [first], encoder)
    assert unembedded(alice, encoder) == rest


def test_another_revision_has_read_nothing(alice):
    embed(alice, tweets_of(alice), an_encoder(revision="1"))
    assert unembedded(alice, an_encoder(revision="2")) == tweets_of(alice)


def test_nothing_waits_of_another_task_or_through_another_workspace(alice, mallory):
    encoder = an_encoder()
    assert unembedded(alice, encoder, task="LaMP-4") == []
    assert unembedded(alice, encoder, workspace=mallory.workspace) == []


def test_whose_documents_wait_and_how_many(alice, bob, mallory):
    encoder = an_encoder()
    embed(alice, tweets_of(alice)[:2], encoder)
    waiting = end_users_to_embed(
        workspace=alice.workspace, end_user_ids=[alice.pk, bob.pk, mallory.pk], task=TWEETS, encoder=encoder
    )
    assert waiting == [(alice.pk, len(OF_ALICE) - 2), (bob.pk, len(OF_BOB))]


def test_nobody_waits_once_all_is_embedded(alice):
    encoder = an_encoder()
    embed(alice, tweets_of(alice), encoder)
    assert end_users_to_embed(workspace=alice.workspace, end_user_ids=[alice.pk], task=TWEETS, encoder=encoder) == []


def test_inner_products_are_those_of_the_vectors(alice):
    encoder = an_encoder()
    made = embed(alice, tweets_of(alice), encoder)
    query = vectors(1, seed=7)[0]
    found = products(alice, encoder, query)
    expected = made.astype(np.float64) @ query.astype(np.float64)
    np.testing.assert_allclose([found[document.pk] for document in tweets_of(alice)], expected, rtol=1e-5)


def test_vectors_of_two_encoders_are_never_mixed(alice):
    """Not even where one dimension would allow it: what the other encoder has read is missing from the answer."""
    old, new = an_encoder(revision="1"), an_encoder(revision="2")
    first, *rest = tweets_of(alice)
    embed(alice, rest, old, seed=1)
    made = embed(alice, [first], new, seed=2)
    query = vectors(1, seed=7)[0]
    found = products(alice, new, query)
    assert set(found) == {first.pk}
    np.testing.assert_allclose(found[first.pk], float(made[0] @ query), rtol=1e-5)


def test_encoders_of_two_dimensions_stand_side_by_side(alice):
    small, large = an_encoder(revision="1", dimension=4), an_encoder(revision="2", dimension=8)
    embed(alice, tweets_of(alice), small)
    embed(alice, tweets_of(alice), large)
    assert len(products(alice, small, vectors(1, dimension=4)[0])) == len(OF_ALICE)
    assert len(products(alice, large, vectors(1, dimension=8)[0])) == len(OF_ALICE)


def test_another_users_vectors_are_out_of_reach(alice, bob):
    encoder = an_encoder()
    embed(bob, tweets_of(bob), encoder)
    assert products(alice, encoder, vectors(1)[0], documents=tweets_of(bob)) == {}


def test_vectors_are_out_of_reach_through_another_workspace_or_task(alice, mallory):
    encoder = an_encoder()
    embed(alice, tweets_of(alice), encoder)
    assert products(alice, encoder, vectors(1)[0], workspace=mallory.workspace) == {}
    assert products(alice, encoder, vectors(1)[0], task="LaMP-4") == {}
