"""How much of a text is worth keeping for an encoder that reads so many tokens of it."""

from typing import Final

MOST_TOKENS: Final = 512
"""What selectors and retrievers read of a text at most (LaMP reference §3)."""

# Words of ordinary texts have four to six a token; only long runs of blanks come to more than this.
_CHARACTERS_A_TOKEN: Final = 16

MOST_CHARACTERS: Final = MOST_TOKENS * _CHARACTERS_A_TOKEN
"""What comes after so many characters is beyond the tokens that are read."""
