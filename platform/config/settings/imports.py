"""Files that clients upload for imports: how large, how many, how long they wait; and what imports leave of a disk."""

from django.core.exceptions import ImproperlyConfigured

from config.settings.environment import env

# One PUT, which S3 takes up to 5 GiB of.
UPLOAD_MAX_BYTES: int = env.int("UPLOAD_MAX_BYTES", default=5_000_000_000)
# Of one workspace: those that wait to be imported, and those that are being imported.
UPLOADS_AT_ONCE: int = env.int("UPLOADS_AT_ONCE", default=20)
# One that nobody has imported by then is deleted.
UPLOAD_HOURS: float = env.float("UPLOAD_HOURS", default=24.0)
# An import fetches its files into the temporary folder only where so much of its disk stays free beside them.
IMPORT_DISK_RESERVE_BYTES: int = env.int("IMPORT_DISK_RESERVE_BYTES", default=1_000_000_000)

if not 1 <= UPLOAD_MAX_BYTES <= 5 * 2**30:
    raise ImproperlyConfigured(f"UPLOAD_MAX_BYTES must be between 1 and 5 GiB, not {UPLOAD_MAX_BYTES}.")
if UPLOADS_AT_ONCE < 1:
    raise ImproperlyConfigured(f"UPLOADS_AT_ONCE must be positive, not {UPLOADS_AT_ONCE}.")
if not 0 < UPLOAD_HOURS < float("inf"):
    raise ImproperlyConfigured(f"UPLOAD_HOURS must be positive, not {UPLOAD_HOURS}.")
if IMPORT_DISK_RESERVE_BYTES < 0:
    raise ImproperlyConfigured(f"IMPORT_DISK_RESERVE_BYTES must not be negative: {IMPORT_DISK_RESERVE_BYTES}.")
