# bash completion for spiped and spipe. Made by scripts/build-completions.mjs.

_spiped() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
  COMPREPLY=()
  case $before in
    -k|--key|-p|--pid-file|keygen)
      local IFS=$'\n'
      COMPREPLY=($(compgen -f -- "$word"))
      return ;;
    -u|--user)
      COMPREPLY=($(compgen -u -- "$word"))
      return ;;
    -s|--source|-t|--target|-b|--bind|-o|--timeout|-n|--max-connections|-r|--resolve-interval|--source-mode)
      return ;;
  esac
  COMPREPLY=($(compgen -W "keygen -e --encrypt -d --decrypt -s --source -t --target -k --key -b --bind -f --without-forward-secrecy -g --require-forward-secrecy -j --no-keep-alive -o --timeout -n --max-connections -r --resolve-interval -R --resolve-once -F --foreground -D --daemonize-first -p --pid-file -u --user --syslog --source-mode -v --version -h --help" -- "$word"))
}
complete -o filenames -F _spiped spiped

_spipe() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
  COMPREPLY=()
  case $before in
    -k|--key)
      local IFS=$'\n'
      COMPREPLY=($(compgen -f -- "$word"))
      return ;;
    -t|--target|-b|--bind|-o|--timeout)
      return ;;
  esac
  COMPREPLY=($(compgen -W "-t --target -k --key -b --bind -f --without-forward-secrecy -g --require-forward-secrecy -j --no-keep-alive -o --timeout --end-with-remote -v --version -h --help" -- "$word"))
}
complete -o filenames -F _spipe spipe
