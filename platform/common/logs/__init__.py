"""Logs: one line a record, with the ids of what it is about, and no user's text."""
