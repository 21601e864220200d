"""Settings of the tests: the real ones, on servers of the session's own."""

from tests import servers

servers.start()

from config.settings import *  # noqa: E402, F403 (they read the environment that the servers have just filled)

# Hashing is made to be slow; the tests need no such protection.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
