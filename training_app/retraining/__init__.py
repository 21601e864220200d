"""Keeping adapters up with their profiles: who is due, the trial of a new adapter, and which one serves."""
