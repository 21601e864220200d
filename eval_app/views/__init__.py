"""Pages for people: members of a workspace's staff, by their session."""
