"""The job table: states, claims, leases, progress, cancel, retry. The one door to the queue."""
