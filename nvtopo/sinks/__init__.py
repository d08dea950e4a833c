"""Outputs of a node: rendering is pure, writing is atomic."""
