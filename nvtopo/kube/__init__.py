"""The Kubernetes API, thin: the only package that meets the ``kubernetes`` client."""
