"""The signing key of an installation that was not given one."""

import os
import secrets
from pathlib import Path


def secret_key(var_dir: Path) -> str:
    """Return the key kept in `var_dir/secret_key`, made on first use and readable by its owner alone."""
    path = var_dir / "secret_key"
    try:
        return path.read_text()
    except FileNotFoundError:
        pass
    var_dir.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"secret_key.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(64))
    try:
        # A link, unlike a rename, never replaces the key that another process has just made.
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return path.read_text()
