"""Which GPUs a gang gets: cost, free counts per domain, exact search. No I/O."""
