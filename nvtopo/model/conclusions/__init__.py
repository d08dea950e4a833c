"""What follows from a node's facts: locality, NVLink groups, rails, labels."""
