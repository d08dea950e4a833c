"""Documents for programs: JSON, YAML, NCCL's XML, scheduler policy."""
