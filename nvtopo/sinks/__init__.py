"""Edge out of a node: rendering is pure, writing is atomic."""
