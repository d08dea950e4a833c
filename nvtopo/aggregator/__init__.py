"""The cluster loop: events of the store → inventory → graph → whoever waits for it, and the HTTP API on top.

``loop.Aggregator`` folds and publishes, ``server.Server`` serves what it published; both run until they are told to
stop. The one is useful without the other.
"""
