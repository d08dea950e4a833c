"""Whether a node, a rack or a cluster is ready: a snapshot or a graph in, findings out. No I/O."""
