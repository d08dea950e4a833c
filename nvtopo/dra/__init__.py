"""Our DRA driver: a kubelet plugin that prepares nothing, and publishes shadows of the node's GPUs and NICs."""
