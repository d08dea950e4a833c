"""Several aggregators over one cluster, of which the leader is killed again and again."""
