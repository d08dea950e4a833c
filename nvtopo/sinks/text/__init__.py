"""For people at a terminal: the matrix and the tree."""
