#!/usr/bin/env bash
# shellcheck source-path=SCRIPTDIR disable=SC2154
# Runs one command as a job with a log, as Kaldi's run.pl, slurm.pl and queue.pl do: the command line and the time at the
# top of the log, the status at its bottom; if the command fails, the end of its log is shown. Returns its status. What an
# earlier job left in the log stays above.
set -uo pipefail
usage="usage: $0 [--backend run|slurm|sge] [OPTION ...] LOG COMMAND [ARGUMENT ...]
--backend run     on this machine (the default); slurm: through sbatch; sge: through qsub. The other options are for those:
--mem 8G          memory      --gpu N   GPUs      --num_threads N   cores      --time H:M:S   time limit
--queue_opts STR  more options for sbatch or qsub, such as \"-p long -A lab\"; given again, they are added
The variables VQBN_BACKEND and VQBN_JOB_OPTIONS (\"--mem 8G --gpu 1\"), which a recipe's cmd.sh uses, give defaults; options
win over them. These strings are divided as a shell does, quotes and all, but nothing in them is run or expanded.
A job is named after its run: exp/bn_seed1/job.log is bn_seed1's, exp/bn_seed1/decode_dev.log bn_seed1-decode_dev's.
With VQBN_ECHO=1 the output of a job on this machine is shown as well; VQBN_GPUS=\"0,1\" are the GPUs that such a job sees."
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/split_words.sh"

job_error() { echo "$0: error: $*" >&2; exit 1; }

backend=${VQBN_BACKEND:-run} mem='' gpu=0 num_threads='' time='' queue_opts=''
split_words defaults "${VQBN_JOB_OPTIONS:-}" VQBN_JOB_OPTIONS || exit 1
set -- "${defaults[@]}" "$@"
while [ $# -gt 0 ]; do
  case $1 in
    --backend | --mem | --gpu | --num_threads | --time)
      [ $# -gt 1 ] || job_error "$1 needs a value"
      printf -v "${1#--}" %s "$2"
      shift 2
      ;;
    --queue_opts)
      [ $# -gt 1 ] || job_error "$1 needs a value"
      queue_opts+=" $2"
      shift 2
      ;;
    # For the recipes, which share out the GPUs of this machine among its jobs.
    --print_backend) echo "$backend"; exit 0 ;;
    -h | --help) echo "$usage"; exit 0 ;;
    --*) job_error "unknown option $1; see --help" ;;
    *) break ;;
  esac
done
[ $# -ge 2 ] || { echo "$usage" >&2; exit 1; }
[[ $gpu =~ ^[0-9]+$ ]] || job_error "--gpu takes a whole number, not '$gpu'"
split_words queue_words "$queue_opts" --queue_opts || exit 1
log=$1
shift
mkdir -p "$(dirname "$log")" || exit 1

# job_name: the run's folder, and the log's name where it says more than that this is a job.
job_name() {
  local folder base
  base=$(basename "${log%.log}") folder=$(basename "$(dirname "$(readlink -m "$log")")")
  case $base in job) base=$folder ;; *) base=$folder-$base ;; esac
  # Grid Engine takes few characters, and none but a letter at the beginning.
  base=${base//[^A-Za-z0-9_.-]/_}
  case $base in [A-Za-z]*) echo "$base" ;; *) echo "job-$base" ;; esac
}

# show_end STATUS: not of a job that was interrupted, which is no failure.
show_end() {
  [ "$1" -ne 130 ] || return 0
  printf 'failed with status %s: %q ends with\n' "$1" "$log" >&2
  tail -n 10 "$log" >&2
}

run_here() {
  local begin=$SECONDS status
  # An interrupt is the command's to answer; its status then goes into the log.
  trap : INT
  [ -z "${VQBN_GPUS+set}" ] || export CUDA_VISIBLE_DEVICES=$VQBN_GPUS
  {
    printf '# %q' "$1"
    printf ' %q' "${@:2}"
    printf '\n# started %s on %s\n' "$(date '+%F %T')" "$(uname -n)"
  } >>"$log" || exit 1
  if [ "${VQBN_ECHO:-0}" = 1 ]; then
    "$@" 2>&1 | tee -i -a "$log"
  else
    "$@" >>"$log" 2>&1
  fi
  status=$?
  echo "# ended with status $status after $((SECONDS - begin)) s" >>"$log"
  if [ "$status" -ne 0 ] && [ "${VQBN_ECHO:-0}" != 1 ]; then show_end "$status"; fi
  return "$status"
}

# count_ends: how many jobs came to their end in the log.
count_ends() { grep -c '^# ended with status' "$log" 2>/dev/null || true; }

# cancel: takes the job back from the scheduler, which says its number in these words.
cancel() {
  local id
  id=$(sed -n 's/^\(Submitted batch\|Your\) job \([0-9]*\).*/\2/p' "$log.queue" | tail -n 1)
  case $backend in slurm) program="scancel" ;; *) program="qdel" ;; esac
  if [ -n "$id" ]; then "$program" "$id" >>"$log.queue" 2>&1; else kill "$waiting" 2>/dev/null; fi
  exit 130
}

# submit PROGRAM OPTION ...: hands this script with the same job to a scheduler, waits, and reads the status in the log.
submit() {
  local script=$log.job status before program=$1 waiting
  type -P "$1" >/dev/null || job_error "--backend $backend: there is no $1 on this machine"
  before=$(count_ends)
  rm -f "$log.queue"
  {
    echo '#!/usr/bin/env bash'
    printf 'cd %q && VQBN_ECHO=0 VQBN_JOB_OPTIONS= exec env -u VQBN_GPUS %q --backend run %q' "$PWD" \
      "$(readlink -f "$0")" "$log"
    printf ' %q' "${job[@]}"
    echo
  } >"$script" || exit 1
  trap cancel INT
  # In the background, as a trap waits for what runs in the foreground.
  "$@" "$script" >>"$log.queue" 2>&1 &
  waiting=$!
  wait $waiting
  status=$?
  # The log may come late over a network file system.
  for _ in 1 2 3 4 5; do
    [ "$(count_ends)" -le "${before:-0}" ] || break
    [ "$status" -eq 0 ] || [ "$log" -nt "$script" ] || break
    sleep 1
  done
  if [ "$(count_ends)" -le "${before:-0}" ] || ! tail -n 1 "$log" | grep -q '^# ended with status'; then
    [ "$status" -ne 0 ] || status=1
    printf '%s: error: the job did not come to its end (status %s of %s); %q ends with\n' \
      "$0" "$status" "$program" "$log.queue" >&2
    tail -n 5 "$log.queue" >&2
    return "$status"
  fi
  status=$(tail -n 1 "$log" | sed 's/^# ended with status \([0-9]*\).*/\1/')
  if [ "$status" -ne 0 ]; then show_end "$status"; else rm -f "$script" "$log.queue"; fi
  return "$status"
}

job=("$@")
gpus=()
case $backend in
  run) run_here "$@" ;;
  slurm)
    ((gpu == 0)) || gpus=("--gres=gpu:$gpu")
    submit sbatch --wait --job-name "$(job_name)" --output "$log.queue" --open-mode append ${mem:+--mem "$mem"} \
      ${num_threads:+--cpus-per-task "$num_threads"} ${time:+--time "$time"} "${gpus[@]}" "${queue_words[@]}"
    ;;
  sge)
    ((gpu == 0)) || gpus=(-l "gpu=$gpu")
    submit qsub -sync y -V -cwd -S /bin/bash -j y -N "$(job_name)" -o "$log.queue" \
      ${mem:+-l "mem_free=$mem,ram_free=$mem"} ${num_threads:+-pe smp "$num_threads"} ${time:+-l "h_rt=$time"} \
      "${gpus[@]}" "${queue_words[@]}"
    ;;
  *) job_error "--backend $backend: expected run, slurm or sge" ;;
esac
