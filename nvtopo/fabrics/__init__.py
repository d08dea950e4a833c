"""What others say of the network: LLDP, ibnetdiscover, topology files, node labels. Text in, claims out, no I/O."""
