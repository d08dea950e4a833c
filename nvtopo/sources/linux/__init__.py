"""The Linux kernel's own view: host, PCI, NUMA, network devices, storage, and its events."""
