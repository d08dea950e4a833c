"""What the cluster is: an inventory folded from events, and an immutable graph of it. Pure, as the model is."""
