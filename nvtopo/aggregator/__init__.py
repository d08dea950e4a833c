"""The cluster loop: events of the store → inventory → graph, and the HTTP API that serves it.

``loop.Aggregator`` folds and publishes, ``server.Server`` serves what it published; both run until they are told to
stop. Each works without the other.
"""
