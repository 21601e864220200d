"""Backups."""

from config.settings.environment import env

# The folder with pg_dump and pg_restore, at least as new as the database's server. Empty: they are looked for among the
# embedded servers' programs, on PATH and where Debian puts them.
POSTGRES_PROGRAMS: str = env.str("POSTGRES_PROGRAMS", default="")
