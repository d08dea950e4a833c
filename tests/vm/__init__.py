"""A virtual machine as a test node: NUMA, PCIe switches, SR-IOV, hot-plug and RDMA that really answer."""
