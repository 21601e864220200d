"""The golden files: one a task, written by hand from the LaMP reference, in the documented format."""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "golden"

KEYS = sorted(path.stem for path in FOLDER.glob("*.json"))


def golden(key: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{key}.json").read_text(encoding="utf-8"))
