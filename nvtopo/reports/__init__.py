"""What ``doctor`` and ``simulate`` found, as documents for people and for other tools. Rendering is pure."""
