"""An adapter in a client's hands: a presigned address for each file of its PEFT folder.

Nothing is packed or copied for it: the files lie in the object store as `peft` reads them, and go from there to the
client without passing this process.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.utils import timezone

from common.objects import get_store
from training_app.adapters import withdraw_adapter
from training_app.models import Adapter

DOWNLOAD_SECONDS: Final = 300
_FILES: Final = frozenset({"adapter_config.json", "adapter_model.safetensors"})


class AdapterUnusable(LookupError):
    """The adapter was withdrawn, or its files are not there any more."""


@dataclass(frozen=True)
class DownloadFile:
    """One file of the folder: its name there, its bytes, and where anybody can read it for a short while."""

    name: str
    size: int
    url: str


@dataclass(frozen=True)
class Download:
    """The whole folder, until when it can be read, and the digest of what it should hold."""

    files: tuple[DownloadFile, ...]
    expires_at: datetime


def adapter_download(*, adapter: Adapter) -> Download:
    """Sign addresses of the files of `adapter`.

    Raises `AdapterUnusable`, where files are missing after withdrawing the adapter; `ObjectStoreError` where the store
    is away.
    """
    if adapter.withdrawn_at is not None:
        raise AdapterUnusable(f"Adapter {adapter.pk} was withdrawn.")
    store = get_store()
    expires_at = timezone.now() + timedelta(seconds=DOWNLOAD_SECONDS)
    found = {info.key.removeprefix(adapter.object_prefix): info for info in store.list(adapter.object_prefix)}
    if any(name not in found for name in _FILES):
        withdraw_adapter(adapter=adapter)
        raise AdapterUnusable(f"The files of adapter {adapter.pk} are lost, so it was withdrawn.")
    return Download(
        files=tuple(
            DownloadFile(name, found[name].size, store.presigned_get(found[name].key, seconds=DOWNLOAD_SECONDS))
            for name in sorted(_FILES)
        ),
        expires_at=expires_at,
    )
