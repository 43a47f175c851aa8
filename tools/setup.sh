#!/usr/bin/env bash
# Makes a virtual environment with vqbn and what the given extras need, at the versions in tools/constraints.txt.
# Run again it adds what is missing and otherwise does nothing.
set -euo pipefail

usage='usage: tools/setup.sh [--extras recipes,mini] [--venv DIR]
  --extras  what to install besides torch and numpy, separated by commas: recipes (training, decoding, scoring),
            mini (the mini speech corpus), images (CIFAR-10 and handwriting), align (phone alignment without Kaldi),
            wsj (audio on the discs), torchaudio (the other feature backend), peers (another VQ library to compare
            with), benchmarks (all that tests/benchmarks compares with), text (sentencepiece), espnet (ESPnet; Python 3.11
            or 3.12), test.
            Default: recipes,mini
  --venv    the environment to make. Default: .venv at the top of the repository
The environment variable PYTHON names the interpreter; without it the first Python 3.11 to 3.13 found is taken.'

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
extras=recipes,mini
venv=$top/.venv
while [ $# -gt 0 ]; do
  case $1 in
    --extras) extras=${2:?--extras needs a value}; shift 2 ;;
    --venv) venv=${2:?--venv needs a value}; shift 2 ;;
    -h | --help) echo "$usage"; exit 0 ;;
    *) echo "tools/setup.sh: error: unknown option $1; see --help" >&2; exit 1 ;;
  esac
done

log() { echo "$(date +%H:%M:%S) setup: $*" >&2; }
fail() { echo "tools/setup.sh: error: $*" >&2; exit 1; }

usable() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1; }

find_python() {
  local candidate
  for candidate in ${PYTHON:+"$PYTHON"} python3 python3.12 python3.11 python3.13; do
    if usable "$candidate"; then command -v "$candidate"; return; fi
  done
  fail "no Python 3.11 to 3.13 found (python3 is $(python3 --version 2>&1)); install one (Debian: apt-get install python3 python3-venv) or set PYTHON to it"
}

exec 9>"$venv.lock" || fail "can't write beside $venv"
if command -v flock >/dev/null; then flock 9; fi

[[ ",$extras," != *,espnet,* ]] || command -v c++ >/dev/null || {
  log "leaving out ESPnet: it compiles pyworld and there is no C++ compiler (Debian: apt-get install g++ python3-dev)"
  extras=$(sed 's/,espnet,/,/; s/^,//; s/,$//' <<<",$extras,")
}

# The stamp holds what the environment was made from, then one line per extra that is in it.
stamp=$venv/vqbn.stamp
source=$(cat "$top/setup.py" "$top/vqbn/version.py" "$top"/vqbn/*/*.{cpp,h} "$top/tools/constraints.txt" | cksum; echo "$top")
missing() {
  local extra
  if [ "$(head -n 2 "$stamp" 2>/dev/null)" != "$source" ]; then echo "$extras"; return; fi
  for extra in ${extras//,/ }; do grep -qx "extra $extra" "$stamp" || echo "$extra"; done | paste -sd, -
}
wanted=$(missing)
[ -n "$wanted" ] || exit 0

if [ ! -x "$venv/bin/python" ]; then
  python=$(find_python)
  log "making $venv with $("$python" --version) (about 5 GB and 2 to 4 minutes, most of it PyTorch)"
  "$python" -m venv "$venv" 2>/dev/null || {
    rm -rf "$venv"
    fail "$python can't make virtual environments; on Debian: apt-get install python3-venv"
  }
fi

command -v c++ >/dev/null ||
  log "no C++ compiler (Debian: apt-get install g++): codes will be looked up without the compiled kernel, more slowly; once there is one, remove $stamp and run this again"
begin=$SECONDS
log "installing vqbn with $wanted"
# ESPnet depends on a package that names a repository by URL in one of its extras; pip 26 refuses that.
[[ ",$wanted," != *,espnet,* ]] || "$venv/bin/python" -m pip install -q 'pip<26'
"$venv/bin/python" -m pip install -q --disable-pip-version-check -c "$top/tools/constraints.txt" -e "${top}[$wanted]" 9>&- ||
  fail "pip could not install vqbn[$wanted]; its message is above"
if [ "$(head -n 2 "$stamp" 2>/dev/null)" != "$source" ]; then echo "$source" >"$stamp"; fi
for extra in ${wanted//,/ }; do echo "extra $extra" >>"$stamp"; done
log "done in $((SECONDS - begin)) s"
