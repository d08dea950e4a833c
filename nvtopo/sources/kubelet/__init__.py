"""The kubelet: its policies, and which containers hold which devices."""
