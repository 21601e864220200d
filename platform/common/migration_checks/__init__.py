"""Refusing migrations that the version before could not live with, or that would lock a table that is in use."""
