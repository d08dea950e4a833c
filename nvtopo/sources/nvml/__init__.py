"""The NVIDIA driver, asked through NVML in worker processes."""
