"""Pictures of a node: Graphviz and SVG."""
