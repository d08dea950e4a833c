"""Notations of the kernel and of PCI: addresses, CPU lists, configuration space, link speeds."""
