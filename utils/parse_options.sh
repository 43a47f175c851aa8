# shellcheck shell=bash disable=SC2154
# Sourced: reads `--name value` and `--name=value` into the variables named in $options.
# The script sets, before it sources this: options="stage stop_stage ...", a default for each, and $usage for --help.

option_error() {
  echo "$0: error: $*; see $0 --help" >&2
  exit 1
}

given_options=''
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) echo "$usage"; exit 0 ;;
    --*=*) option_name=${1%%=*}; option_value=${1#*=}; shift ;;
    --*)
      option_name=$1
      [ $# -gt 1 ] || option_error "$1 needs a value"
      option_value=$2
      shift 2
      ;;
    *) option_error "unexpected argument '$1'" ;;
  esac
  option_name=${option_name#--}
  case " ${options//$'\n'/ } " in
    *" $option_name "*) printf -v "$option_name" %s "$option_value"; given_options+=" $option_name" ;;
    *) option_error "unknown option --$option_name" ;;
  esac
done

for option_name in stage stop_stage nj ngpu; do
  case " ${options//$'\n'/ } " in *" $option_name "*) ;; *) continue ;; esac
  [[ ${!option_name} =~ ^[0-9]+$ ]] || option_error "--$option_name takes a whole number, not '${!option_name}'"
done
case " ${options//$'\n'/ } " in
  *" stop_stage "*)
    [ "$stage" -le "$stop_stage" ] || option_error "--stage $stage comes after --stop_stage $stop_stage, the last: nothing would be done"
    ;;
esac
