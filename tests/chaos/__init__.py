"""Faults of a node and of its cluster, one by one: what is detected, what placement does next, how fast it heals."""
