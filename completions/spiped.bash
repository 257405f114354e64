# bash completion for spiped and spipe. Made by scripts/build-completions.mjs.

_spiped() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} given
  # The three words of --key=FILE.
  if [ "$word" = "=" ]; then
    word=
  elif [ "$before" = "=" ]; then
    before=${COMP_WORDS[COMP_CWORD - 2]}
  fi
  COMPREPLY=()
  case $before in
    -k|--key|--config|-p|--pid-file)
      local IFS=$'\n'
      COMPREPLY=($(compgen -f -- "$word"))
      return ;;
    -u|--user)
      COMPREPLY=($(compgen -u -- "$word"))
      return ;;
    --log-level)
      COMPREPLY=($(compgen -W "error warning info debug" -- "$word"))
      return ;;
    --log-format)
      COMPREPLY=($(compgen -W "text json" -- "$word"))
      return ;;
    -s|--source|-t|--target|-b|--bind|--source-mode|-o|--timeout|-n|--max-connections|-r|--resolve-interval|--drain-timeout|--threads|--status)
      return ;;
  esac
  case ${COMP_WORDS[1]} in
    keygen | key-id)
      if [ "$COMP_CWORD" -gt 1 ]; then
        local IFS=$'\n'
        [ "${COMP_WORDS[1]}" = keygen ] && [ "$COMP_CWORD" -gt 2 ] || COMPREPLY=($(compgen -f -- "$word"))
        return
      fi ;;
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "keygen key-id" -- "$word"))
    [ -z "${COMPREPLY[*]}" ] || [ -z "$word" ] || return
  fi
  local flags=" -e --encrypt -d --decrypt -s --source -t --target -k --key -b --bind --config --source-mode -f --without-forward-secrecy -g --require-forward-secrecy -j --no-keep-alive -o --timeout --no-coalescing -n --max-connections -r --resolve-interval -R --resolve-once --proxy-protocol -F --foreground -D --daemonize-first -p --pid-file -u --user --drain-timeout --threads --status --syslog --log-level --log-format --check -v --version -h --help "
  for given in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $given in
      -e|--encrypt) flags=${flags/ -e --encrypt / }; flags=${flags/ -d --decrypt / }; flags=${flags/ --config / } ;;
      -d|--decrypt) flags=${flags/ -d --decrypt / }; flags=${flags/ -e --encrypt / }; flags=${flags/ --config / } ;;
      -s|--source) flags=${flags/ -s --source / }; flags=${flags/ --config / } ;;
      -t|--target) flags=${flags/ -t --target / }; flags=${flags/ --config / } ;;
      -k|--key) flags=${flags/ -k --key / }; flags=${flags/ --config / } ;;
      -b|--bind) flags=${flags/ -b --bind / }; flags=${flags/ --config / } ;;
      --config) flags=${flags/ --config / }; flags=${flags/ -e --encrypt / }; flags=${flags/ -d --decrypt / }; flags=${flags/ -s --source / }; flags=${flags/ -t --target / }; flags=${flags/ -k --key / }; flags=${flags/ -b --bind / }; flags=${flags/ --source-mode / }; flags=${flags/ -f --without-forward-secrecy / }; flags=${flags/ -g --require-forward-secrecy / }; flags=${flags/ -j --no-keep-alive / }; flags=${flags/ -o --timeout / }; flags=${flags/ -n --max-connections / }; flags=${flags/ -r --resolve-interval / }; flags=${flags/ -R --resolve-once / }; flags=${flags/ --proxy-protocol / } ;;
      --source-mode) flags=${flags/ --source-mode / }; flags=${flags/ --config / } ;;
      -f|--without-forward-secrecy) flags=${flags/ -f --without-forward-secrecy / }; flags=${flags/ --config / }; flags=${flags/ -g --require-forward-secrecy / } ;;
      -g|--require-forward-secrecy) flags=${flags/ -g --require-forward-secrecy / }; flags=${flags/ --config / }; flags=${flags/ -f --without-forward-secrecy / } ;;
      -j|--no-keep-alive) flags=${flags/ -j --no-keep-alive / }; flags=${flags/ --config / } ;;
      -o|--timeout) flags=${flags/ -o --timeout / }; flags=${flags/ --config / } ;;
      --no-coalescing) flags=${flags/ --no-coalescing / } ;;
      -n|--max-connections) flags=${flags/ -n --max-connections / }; flags=${flags/ --config / } ;;
      -r|--resolve-interval) flags=${flags/ -r --resolve-interval / }; flags=${flags/ --config / }; flags=${flags/ -R --resolve-once / } ;;
      -R|--resolve-once) flags=${flags/ -R --resolve-once / }; flags=${flags/ --config / }; flags=${flags/ -r --resolve-interval / } ;;
      --proxy-protocol) flags=${flags/ --proxy-protocol / }; flags=${flags/ --config / } ;;
      -F|--foreground) flags=${flags/ -F --foreground / } ;;
      -D|--daemonize-first) flags=${flags/ -D --daemonize-first / } ;;
      -p|--pid-file) flags=${flags/ -p --pid-file / } ;;
      -u|--user) flags=${flags/ -u --user / } ;;
      --drain-timeout) flags=${flags/ --drain-timeout / } ;;
      --threads) flags=${flags/ --threads / } ;;
      --status) flags=${flags/ --status / } ;;
      --syslog) flags=${flags/ --syslog / } ;;
      --log-level) flags=${flags/ --log-level / } ;;
      --log-format) flags=${flags/ --log-format / } ;;
      --check) flags=${flags/ --check / } ;;
      -v|--version) flags=${flags/ -v --version / } ;;
      -h|--help) flags=${flags/ -h --help / } ;;
    esac
  done
  COMPREPLY+=($(compgen -W "$flags" -- "$word"))
}
complete -o filenames -F _spiped spiped

_spipe() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} given
  # The three words of --key=FILE.
  if [ "$word" = "=" ]; then
    word=
  elif [ "$before" = "=" ]; then
    before=${COMP_WORDS[COMP_CWORD - 2]}
  fi
  COMPREPLY=()
  case $before in
    -k|--key)
      local IFS=$'\n'
      COMPREPLY=($(compgen -f -- "$word"))
      return ;;
    -t|--target|-b|--bind|-o|--timeout)
      return ;;
  esac
  local flags=" -t --target -k --key -b --bind -f --without-forward-secrecy -g --require-forward-secrecy -j --no-keep-alive -o --timeout --no-coalescing --end-with-remote --probe -v --version -h --help "
  for given in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $given in
      -t|--target) flags=${flags/ -t --target / } ;;
      -k|--key) flags=${flags/ -k --key / } ;;
      -b|--bind) flags=${flags/ -b --bind / } ;;
      -f|--without-forward-secrecy) flags=${flags/ -f --without-forward-secrecy / }; flags=${flags/ -g --require-forward-secrecy / } ;;
      -g|--require-forward-secrecy) flags=${flags/ -g --require-forward-secrecy / }; flags=${flags/ -f --without-forward-secrecy / } ;;
      -j|--no-keep-alive) flags=${flags/ -j --no-keep-alive / } ;;
      -o|--timeout) flags=${flags/ -o --timeout / } ;;
      --no-coalescing) flags=${flags/ --no-coalescing / } ;;
      --end-with-remote) flags=${flags/ --end-with-remote / } ;;
      --probe) flags=${flags/ --probe / } ;;
      -v|--version) flags=${flags/ -v --version / } ;;
      -h|--help) flags=${flags/ -h --help / } ;;
    esac
  done
  COMPREPLY+=($(compgen -W "$flags" -- "$word"))
}
complete -o filenames -F _spipe spipe
