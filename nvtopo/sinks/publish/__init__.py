"""What the agent keeps up to date: the feature file and the objects at the API server."""
