"""nvtopo: what the GPUs, NICs and links of a node really are.

Four words carry the house: sources → model → sinks on a node, model → cluster → exporters in the cluster.

* ``sources``   read one thing each: NVML, PCI, NUMA, netdevs, RDMA, the host
* ``model``     pure: a ``Snapshot`` of facts → ``NodeTopology`` → the conclusions drawn from it
* ``sinks``     matrix, JSON, NFD feature file, NodeTopology resource, metrics
* ``cluster``   pure: an inventory folded from events → an immutable graph of tiers and domains
* ``exporters`` what others read of that graph: text, JSON, a page
* ``kube``      the Kubernetes API, thin
* ``runtime``   what waits, retries and runs children
* ``agent``, ``aggregator``, ``standalone``: the loops, where the parts meet
"""

__version__ = "0.1.0"
