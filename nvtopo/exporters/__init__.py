"""Edge out of the cluster: what others read of the graph."""
