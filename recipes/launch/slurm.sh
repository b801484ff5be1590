#!/bin/bash
#SBATCH --job-name=omnimask --open-mode=append --requeue
#SBATCH --nodes=8 --ntasks-per-node=8 --gpus-per-node=8 --cpus-per-task=12
#SBATCH --signal=USR1@180
# sbatch recipes/launch/slurm.sh pretrain recipes.mae:base --set data.root=/data/imagenet --out /runs/mae
# One task is one process, without torchrun between, so that the signal reaches it and its exit
# status comes back. 75 says that the run is saved and goes on: the job is queued again. FSDP=1
# shares the weights out among all processes.
MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export MASTER_ADDR MASTER_PORT=${MASTER_PORT:-29500}
if [ "${FSDP:-0}" = 1 ]; then
    export ACCELERATE_USE_FSDP=true FSDP_VERSION=2
fi
# Processes end by themselves when one of them is lost; --wait is for those that cannot.
srun --kill-on-bad-exit=0 --wait=300 bash -c '
    export RANK=$SLURM_PROCID LOCAL_RANK=$SLURM_LOCALID WORLD_SIZE=$SLURM_NTASKS
    export LOCAL_WORLD_SIZE=$SLURM_NTASKS_PER_NODE
    exec python -m omnimask "$@"' omnimask "$@"
status=$?
if [ "$status" -eq 75 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
