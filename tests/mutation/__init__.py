"""Mutation testing: small wrong changes to the source, each of which some test should notice. Outside CI."""
