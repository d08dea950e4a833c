"""What changes with every scrape: counters, RDMA resources, containers."""
