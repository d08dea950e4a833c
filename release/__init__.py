"""A release: what is built of one commit, and how its image reaches a registry (docs/releasing.md)."""
