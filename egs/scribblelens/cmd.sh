# shellcheck shell=bash
# How jobs are run: a command that takes a log file and then the job's own command line.
export train_cmd="$VQBN_ROOT/utils/run_job.sh"
export decode_cmd="$VQBN_ROOT/utils/run_job.sh"
