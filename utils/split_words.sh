# shellcheck shell=bash disable=SC2034
# Sourced: options that stand in one string.

# split_words ARRAY STRING NAME: fills ARRAY with the words of STRING as a shell would divide it, quotes and backslashes and
# all; but nothing is run or expanded. Where a quote is not closed it fails, and says so of NAME.
split_words() {
  local -n words_of_string=$1
  words_of_string=()
  # Python is asked where a shell's rules matter.
  if [[ $2 != *[\'\"\\]* ]]; then
    read -r -d '' -a words_of_string <<<"$2" || true
    return 0
  fi
  mapfile -d '' -t words_of_string < <(python3 -c '
import shlex, sys
try:
    words = shlex.split(sys.argv[1])
except ValueError:
    sys.exit(1)
sys.stdout.write("".join(word + "\0" for word in words))' "$2")
  wait $! || { echo "$0: error: $3: found $2, expected closed quotes and no backslash at the end" >&2; return 1; }
}
