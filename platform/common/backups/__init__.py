"""Backups: the database and the objects that its rows name, as of one moment, in a folder that knows if it is whole.

`taking` makes one, `checking` says whether it is as it was made, `restoring` brings it into an empty installation. What
lies in the object store, and what is to be put right afterwards, the apps say (`contributions`).
"""
