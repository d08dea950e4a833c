"""Who may read: bearer tokens, reviewed by the API server or compared with a file."""
