"""One clock: PostgreSQL's. No comparison in this app trusts the clock of the machine it runs on."""

from typing import Any

from django.db.models import DateTimeField, Func


class ClockTimestamp(Func):
    """The moment at which the row is touched; unlike `now()` it moves on within a transaction."""

    function = "clock_timestamp"
    output_field = DateTimeField()
    arity = 0
    allowed_default = True

    def __init__(self, **extra: Any) -> None:
        super().__init__(**extra)
