"""The agent's HTTP page: the server, who may read, the formats."""
