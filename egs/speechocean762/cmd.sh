# shellcheck shell=bash
# How jobs are run: a command that takes a log file and then the job's own command line (utils/run_job.sh --help).
# On a cluster set VQBN_BACKEND to slurm or sge, and VQBN_JOB_OPTIONS to what a job needs, here or in the environment.
export train_cmd="$VQBN_ROOT/utils/run_job.sh"
export decode_cmd="$VQBN_ROOT/utils/run_job.sh"
export VQBN_BACKEND=${VQBN_BACKEND:-run}
export VQBN_JOB_OPTIONS=${VQBN_JOB_OPTIONS:-} # such as "--mem 16G --gpu 1 --time 24:00:00"
# Kaldi's own scripts (local/train_tri3b.sh) run their jobs with one of Kaldi's: run.pl, slurm.pl or queue.pl.
export kaldi_cmd=${kaldi_cmd:-run.pl}
