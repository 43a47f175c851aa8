#!/usr/bin/env bash
# Runs one command on this machine with a log, as Kaldi's run.pl does: the command line and the time at the top of the
# log, the status at its bottom; if the command fails, the end of its log is shown.
# usage: utils/run_job.sh LOG COMMAND [ARGUMENT ...]     (with VQBN_ECHO=1 the output is shown as well)
set -uo pipefail
[ $# -ge 2 ] || { echo "usage: $0 LOG COMMAND [ARGUMENT ...]" >&2; exit 1; }
log=$1
shift
mkdir -p "$(dirname "$log")" || exit 1
begin=$SECONDS
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
if [ "$status" -ne 0 ] && [ "${VQBN_ECHO:-0}" != 1 ]; then
  echo "failed with status $status: $log ends with" >&2
  tail -n 10 "$log" >&2
fi
exit "$status"
