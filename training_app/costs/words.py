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


def _three_digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
