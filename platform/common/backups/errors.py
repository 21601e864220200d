"""What can go wrong with a backup, said so that the reader knows what to do next."""


class BackupError(Exception):
    """A backup cannot be made, is not whole, or cannot be restored here; the message says why and what to do."""
