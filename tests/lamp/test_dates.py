"""Dates order as tuples of ints."""

import pytest

from lamp.dates import date_key


@pytest.mark.parametrize(
    ("date", "key"),
    [
        ("2009", (2009,)),
        (2009, (2009,)),
        ("2017-01-07", (2017, 1, 7)),
        ("2017-1-7", (2017, 1, 7)),
        ("2017-12", (2017, 12)),
        ("2016-02-29", (2016, 2, 29)),
        (0, (0,)),
        (1230768000, (1230768000,)),
    ],
)
def test_a_date_is_a_tuple_of_ints(date, key):
    assert date_key(date) == key


def test_dates_order_by_number_not_by_letter():
    assert sorted(["2010-2-1", "2010-10-1", "2009", "2010"], key=date_key) == ["2009", "2010", "2010-2-1", "2010-10-1"]


TEXTS_THAT_ARE_NO_DATE = ["", " ", "yesterday", "2009 ", "-5", "٢٠٠٩", "1" * 5000, "2017/01/07", "2017-01-07T00:00:00"]
DATES_THAT_NEVER_WERE = ["2017-13-01", "2017-00-01", "2017-02-30", "2017-01-00", "0000-01-01", "2017-1-1-1"]
OTHER_VALUES = [-1, 10**18, True, None, 2009.0, [2009]]


@pytest.mark.parametrize("date", [*TEXTS_THAT_ARE_NO_DATE, *DATES_THAT_NEVER_WERE, *OTHER_VALUES])
def test_what_is_no_date_is_refused(date):
    with pytest.raises(ValueError, match="date"):
        date_key(date)


def test_a_refusal_does_not_repeat_the_value():
    with pytest.raises(ValueError) as caught:
        date_key("secret")
    assert "secret" not in str(caught.value)
