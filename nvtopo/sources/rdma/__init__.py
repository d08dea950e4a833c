"""RDMA devices and ports: sysfs, verbs and the kernel's RDMA netlink."""
