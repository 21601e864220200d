import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from training_app.retraining.holding_out import HeldOut, ProfileDocument, TooFewDocuments, hold_out

# A busy machine says nothing of what is tested.
BUSY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
IDS = st.lists(st.integers(1, 12), min_size=2, max_size=30).filter(lambda ids: len(set(ids)) > 1)
SHARES = st.floats(0.01, 0.99)
MOST = st.integers(1, 10)


def undated(*ids):
    return [ProfileDocument(one, None) for one in ids]


def dated(*pairs):
    return [ProfileDocument(one, (day,)) for one, day in pairs]


@BUSY
@given(IDS, st.data(), SHARES, MOST, st.sets(st.integers(1, 12)))
def test_the_two_parts_are_disjoint_and_together_the_whole_profile_in_its_order(ids, data, share, most, seen):
    days = data.draw(st.dictionaries(st.sampled_from(ids), st.integers(0, 5)))
    profile = [ProfileDocument(one, (days[one],) if one in days else None) for one in ids]
    parts = hold_out(profile, share=share, most=most, seen=seen)
    assert list(parts.learned) == [one for one in ids if one not in parts.measured]
    assert set(parts.learned) | set(parts.measured) == set(ids)
    assert len(set(parts.measured)) == len(parts.measured)
    assert parts.learned


@BUSY
@given(IDS, SHARES, MOST)
def test_the_share_is_held_out_but_one_at_least_and_no_more_than_the_most(ids, share, most):
    measured = hold_out(undated(*ids), share=share, most=most).measured
    assert len(measured) == max(1, min(most, int(share * len(set(ids)))))


@BUSY
@given(st.lists(st.integers(0, 50), min_size=2, max_size=20), SHARES, MOST)
def test_none_that_is_learned_from_is_newer_than_one_held_out(days, share, most):
    profile = dated(*enumerate(days))
    parts = hold_out(profile, share=share, most=most)
    assert max(days[one] for one in parts.learned) <= min(days[one] for one in parts.measured)


@BUSY
@given(IDS, SHARES, MOST, st.sets(st.integers(1, 12)))
def test_as_long_as_one_is_unseen_no_seen_one_is_held_out(ids, share, most, seen):
    measured = set(hold_out(undated(*ids), share=share, most=most, seen=seen).measured)
    assert measured.isdisjoint(seen) or set(ids) <= seen


def test_without_a_date_for_each_the_place_says_what_is_new():
    profile = [*dated((1, 9), (2, 8)), *undated(3)]
    assert hold_out(profile, share=0.4, most=5) == HeldOut(learned=(1, 2), measured=(3,))


def test_of_the_same_day_the_later_place_is_newer():
    assert hold_out(dated((1, 5), (2, 7), (3, 7)), share=0.4, most=5).measured == (3,)


def test_a_repeated_document_is_held_out_at_every_place():
    assert hold_out(undated(4, 5, 6, 4), share=0.4, most=5) == HeldOut(learned=(5, 6), measured=(4,))


def test_unseen_documents_are_held_out_before_newer_seen_ones():
    assert hold_out(undated(1, 2, 3, 4), share=0.5, most=5, seen={3, 4}).measured == (1, 2)
    assert hold_out(undated(1, 2, 3, 4), share=0.5, most=5, seen={2, 3, 4}).measured == (1,)


@pytest.mark.parametrize("ids", [(), (1,), (1, 1, 1)], ids=str)
def test_fewer_than_two_different_documents_cannot_be_parted(ids):
    with pytest.raises(TooFewDocuments):
        hold_out(undated(*ids), share=0.5, most=5)
