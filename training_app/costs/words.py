"""Numbers and bytes as people read them."""


def number_in_words(value: float) -> str:
    """Three digits that mean something; thousands in full, more with the word.

    >>> [number_in_words(value) for value in (0, 0.01234, 12, 12345.6, 1.234e7, 1.2e12)]
    ['0', '0.0123', '12', '12,346', '12.3 million', '1,200 billion']
    """
    if value >= 1e9:
        return f"{_three_digits(value / 1e9)} billion"
    if value >= 1e6:
        return f"{_three_digits(value / 1e6)} million"
    return _three_digits(value)


def bytes_in_words(value: float) -> str:
    """Bytes in decimal units.

    >>> bytes_in_words(28_373_686)
    '28.4 MB'
    """
    for size, unit in ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= size:
            return f"{_three_digits(value / size)} {unit}"
    return f"{value:.0f} B"


def duration_in_words(seconds: float) -> str:
    """A time as people say it, in its two largest units.

    >>> [duration_in_words(seconds) for seconds in (0, 0.042, 12, 200, 7300, 200_000)]
    ['0 s', '42 ms', '12 s', '3 min 20 s', '2 h 1 min', '2 d 7 h']
    """
    if 0 < seconds < 1:
        return f"{_three_digits(seconds * 1000)} ms"
    if seconds < 60:
        return f"{_three_digits(seconds)} s"
    for size, unit, below, its in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            rest = int(seconds % size) // below
            whole = f"{int(seconds // size):,} {unit}"
            return f"{whole} {rest} {its}" if rest else whole
    raise AssertionError(seconds)


def _three_digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
