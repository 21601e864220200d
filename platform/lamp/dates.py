"""Dates as LaMP's files write them, and their order (LaMP reference §2)."""

import calendar
import re

_DATE = re.compile(r"([0-9]{1,18})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?", re.ASCII)
_HIGHEST = 10**18


def date_key(value: str | int) -> tuple[int, ...]:
    """The date as a tuple of ints, by which dates are ordered.

    `"2017-01-07"` becomes (2017, 1, 7); `"2009"` and 2009 become (2009,).

    Raises `ValueError` for what is no date, without repeating the value.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value < _HIGHEST:
            raise ValueError("the date is a number out of range: write a year, or year-month-day")
        return (value,)
    found = _DATE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError('the date is neither a year nor year-month-day: write "2009", 2009 or "2017-01-07"')
    parts = tuple(int(part) for part in found.groups() if part is not None)
    if len(parts) > 1 and not (1 <= parts[0] <= 9999 and 1 <= parts[1] <= 12):
        raise ValueError("the date's year or month doesn't exist")
    if len(parts) > 2 and not 1 <= parts[2] <= calendar.monthrange(parts[0], parts[1])[1]:
        raise ValueError("the date's day doesn't exist in that month")
    return parts
