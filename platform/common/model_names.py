"""What clients are told of models that lie in folders of the server: never where."""

import re
from pathlib import Path
from typing import Final

_PATH: Final = re.compile(r"""(?<![\w:/.])/(?:[^\s/"'“”,;:]+/)+([^\s/"'“”,;:]*)""")


def public_name(name: str) -> str:
    """The name of a model for clients: a folder's last part, a hub's name as it is.

    >>> public_name("/srv/models/small"), public_name("google/flan-t5-base")
    ('small', 'google/flan-t5-base')
    """
    return Path(name).name if Path(name).is_absolute() else name


def without_paths(text: str) -> str:
    """`text` with the last part of each path of the server alone.

    >>> without_paths("Nothing lies in /srv/models/small; see https://example.org/a/b.")
    'Nothing lies in small; see https://example.org/a/b.'
    """
    return _PATH.sub(r"\1", text)
