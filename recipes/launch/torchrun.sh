#!/bin/bash
# The same command on every machine; the first one's name is HOST.
#   HOST=node1 MACHINES=8 recipes/launch/torchrun.sh pretrain recipes.mae:base --out /runs/mae
# FSDP=1 shares the weights out among all processes. A stopped run ends torchrun with status 1,
# whatever the processes' own (75 for one that can go on): recipes/launch/slurm.sh keeps it.
set -eu
if [ "${FSDP:-0}" = 1 ]; then
    export ACCELERATE_USE_FSDP=true FSDP_VERSION=2
fi
exec torchrun \
    --nnodes "${MACHINES:-1}" --nproc-per-node "${PROCESSES:-gpu}" \
    --rdzv-backend c10d --rdzv-id "${RUN_ID:-omnimask}" \
    --rdzv-endpoint "${HOST:-localhost}:${PORT:-29500}" \
    -m omnimask "$@"
