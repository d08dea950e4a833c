"""The container image: built from the Dockerfile without a registry, with the list of what is in it (`make image`)."""
