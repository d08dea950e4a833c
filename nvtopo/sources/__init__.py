"""Edge in: one module for each thing read, named as the thing."""
