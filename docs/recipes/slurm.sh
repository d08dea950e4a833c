#!/bin/sh
# 16 trays of four GPUs in one NVLink domain: sbatch slurm.sh. It needs Slurm 23.11 or later with TopologyPlugin=topology/block
# and the blocks of:  nvtopo export slurm-block --output topology.conf
#SBATCH --job-name=same-domain
#SBATCH --nodes=16
#SBATCH --segment=16
#SBATCH --exclusive
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-task=1

# Each task on the NUMA node of its GPU.
srun --cpu-bind=cores --mem-bind=local ./train
