"""The parts of the agent's metrics page, each computed at the scrape."""
