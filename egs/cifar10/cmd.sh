# shellcheck shell=bash
# How jobs are run: a command, with options if need be, that takes a log file and then the job's own command line:
# utils/run_job.sh (its --help lists options), or Kaldi's run.pl, slurm.pl or queue.pl.
# On a cluster set VQBN_BACKEND to slurm or sge, VQBN_JOB_OPTIONS to what all jobs need, such as
# '--queue_opts "-p long -A lab"', and the three others to what trainings, decodings and preparation need besides, such as
# "--gpu 1 --mem 16G --time 24:00:00"; in the environment, or here: train_cmd="$VQBN_ROOT/utils/run_job.sh --mem 16G".
export VQBN_BACKEND=${VQBN_BACKEND:-run}
export VQBN_JOB_OPTIONS=${VQBN_JOB_OPTIONS:-}
export train_cmd="$VQBN_ROOT/utils/run_job.sh ${VQBN_TRAIN_OPTIONS:-}"
# Decoding and preparation use no GPU, whatever VQBN_JOB_OPTIONS asks for.
export decode_cmd="$VQBN_ROOT/utils/run_job.sh --gpu 0 ${VQBN_DECODE_OPTIONS:-}"
export prepare_cmd="$VQBN_ROOT/utils/run_job.sh --gpu 0 ${VQBN_PREPARE_OPTIONS:-}"
