#!/usr/bin/env bash
# Runs one command as a job with a log, as Kaldi's run.pl, slurm.pl and queue.pl do: the command line and the time at the
# top of the log, the status at its bottom; if the command fails, the end of its log is shown. Returns its status.
set -uo pipefail
usage="usage: $0 [--backend run|slurm|sge] [OPTION ...] LOG COMMAND [ARGUMENT ...]
--backend run     on this machine (the default); slurm: through sbatch; sge: through qsub. The other options are for those:
--mem 8G          memory      --gpu N   GPUs      --num_threads N   cores      --time H:M:S   time limit
--queue_opts STR  more options for sbatch or qsub, such as \"-p long\" or \"-q all.q\"
The variables VQBN_BACKEND and VQBN_JOB_OPTIONS (\"--mem 8G --gpu 1\"), which a recipe's cmd.sh sets, give defaults.
With VQBN_ECHO=1 the output of a job on this machine is shown as well."

backend=${VQBN_BACKEND:-run} mem='' gpu=0 num_threads='' time='' queue_opts=''
# shellcheck disable=SC2086
set -- ${VQBN_JOB_OPTIONS:-} "$@"
while [ $# -gt 0 ]; do
  case $1 in
    --backend | --mem | --gpu | --num_threads | --time | --queue_opts)
      [ $# -gt 1 ] || { echo "$0: error: $1 needs a value" >&2; exit 1; }
      printf -v "${1#--}" %s "$2"
      shift 2
      ;;
    -h | --help) echo "$usage"; exit 0 ;;
    --*) echo "$0: error: unknown option $1; see --help" >&2; exit 1 ;;
    *) break ;;
  esac
done
[ $# -ge 2 ] || { echo "$usage" >&2; exit 1; }
log=$1
shift
mkdir -p "$(dirname "$log")" || exit 1

show_end() {
  echo "failed with status $1: $log ends with" >&2
  tail -n 10 "$log" >&2
}

run_here() {
  local begin=$SECONDS status
  {
    printf '# %q' "$1"
    printf ' %q' "${@:2}"
    printf '\n# started %s on %s\n' "$(date '+%F %T')" "$(uname -n)"
  } >"$log" || exit 1
  if [ "${VQBN_ECHO:-0}" = 1 ]; then
    "$@" 2>&1 | tee -a "$log"
  else
    "$@" >>"$log" 2>&1
  fi
  status=$?
  echo "# ended with status $status after $((SECONDS - begin)) s" >>"$log"
  if [ "$status" -ne 0 ] && [ "${VQBN_ECHO:-0}" != 1 ]; then show_end "$status"; fi
  return "$status"
}

# submit PROGRAM OPTION ...: hands this script with the same job to a scheduler, waits, and reads the status in the log.
submit() {
  local script=$log.job status
  type -P "$1" >/dev/null || { echo "$0: error: --backend $backend: there is no $1 on this machine" >&2; exit 1; }
  rm -f "$log" "$log.queue"
  {
    echo '#!/usr/bin/env bash'
    printf 'cd %q && VQBN_ECHO=0 VQBN_JOB_OPTIONS= exec %q --backend run %q' "$PWD" "$(readlink -f "$0")" "$log"
    printf ' %q' "${job[@]}"
    echo
  } >"$script" || exit 1
  "$@" "$script" >>"$log.queue" 2>&1
  status=$?
  # The log may come late over a network file system.
  for _ in 1 2 3 4 5; do
    grep -q '^# ended with status' "$log" 2>/dev/null && break
    [ "$status" -eq 0 ] || [ -f "$log" ] || break
    sleep 1
  done
  if ! tail -n 1 "$log" 2>/dev/null | grep -q '^# ended with status'; then
    [ "$status" -ne 0 ] || status=1
    echo "$0: error: the job did not come to its end (status $status of $1); $log.queue ends with" >&2
    tail -n 5 "$log.queue" >&2
    return "$status"
  fi
  status=$(tail -n 1 "$log" | sed 's/^# ended with status \([0-9]*\).*/\1/')
  if [ "$status" -ne 0 ]; then show_end "$status"; else rm -f "$script" "$log.queue"; fi
  return "$status"
}

job=("$@")
name=$(basename "${log%.log}")
case $backend in
  run) run_here "$@" ;;
  slurm)
    # shellcheck disable=SC2086,SC2046
    submit sbatch --wait --job-name "$name" --output "$log.queue" --open-mode append ${mem:+--mem "$mem"} \
      ${num_threads:+--cpus-per-task "$num_threads"} ${time:+--time "$time"} $( ((gpu > 0)) && echo "--gres=gpu:$gpu") $queue_opts
    ;;
  sge)
    # shellcheck disable=SC2086,SC2046
    submit qsub -sync y -V -cwd -S /bin/bash -j y -N "job-$name" -o "$log.queue" ${mem:+-l "mem_free=$mem,ram_free=$mem"} \
      ${num_threads:+-pe smp "$num_threads"} ${time:+-l "h_rt=$time"} $( ((gpu > 0)) && echo "-l gpu=$gpu") $queue_opts
    ;;
  *) echo "$0: error: --backend $backend: expected run, slurm or sge" >&2; exit 1 ;;
esac
