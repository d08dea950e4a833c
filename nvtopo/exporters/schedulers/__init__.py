"""What each scheduler reads: the graph in, its documents out, one module each."""
