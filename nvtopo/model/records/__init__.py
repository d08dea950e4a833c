"""The facts of one node as records, and the base of everything that crosses a wire."""
