// Makes the shells' completions of the commands' own lists of flags: completions/spiped.bash, _spiped, spiped.fish.
// With --check it only says whether they are new. Needs dist/.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { spipeCommand } from "../dist/cli/spipe.js";
import { spipedCommand } from "../dist/cli/spiped.js";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));

/** Flags whose value is a file. */
const FILES = new Set(["--key", "--pid-file"]);
/** Flags of which only one can be given; every other one excludes itself alone. */
const RIVALS = [
  ["--encrypt", "--decrypt"],
  ["--without-forward-secrecy", "--require-forward-secrecy"],
  ["--resolve-interval", "--resolve-once"],
];
const commands = [spipedCommand(), spipeCommand()].map((command) => {
  const flags = command
    .createHelp()
    .visibleOptions(command)
    .map(({ short, long, description, required }) => ({
      words: [short, long].filter((word) => word !== undefined),
      short,
      long,
      description,
      value: required ? (FILES.has(long) ? "file" : long === "--user" ? "user" : "text") : undefined,
    }));
  return { name: command.name(), flags: flags.map((flag) => ({ ...flag, rivals: rivalsOf(flag, flags) })) };
});

mkdirSync("completions", { recursive: true });
let stale = false;
for (const [name, text] of [
  ["spiped.bash", bash()],
  ["_spiped", zsh()],
  ["spiped.fish", fish()],
]) {
  const file = `completions/${name}`;
  if (existsSync(file) && readFileSync(file, "utf8") === text) continue;
  stale = true;
  if (process.argv.includes("--check"))
    console.error(`${file} is not what the flags make; node scripts/build-completions.mjs`);
  else writeFileSync(file, text);
}
if (stale && process.argv.includes("--check")) process.exit(1);

/** The flags that cannot be given beside this one, itself the first. */
function rivalsOf(flag, flags) {
  const names = RIVALS.find((rivals) => rivals.includes(flag.long)) ?? [];
  return [flag, ...flags.filter((other) => other !== flag && names.includes(other.long))];
}

function wordsOf(flags) {
  return flags.flatMap(({ words }) => words);
}

function bash() {
  const withValue = (flags, value) => wordsOf(flags.filter((flag) => flag.value === value)).join("|");
  const one = ({ name, flags }) => `_${name}() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD - 1]} given
  # The three words of --key=FILE.
  if [ "$word" = "=" ]; then
    word=
  elif [ "$before" = "=" ]; then
    before=\${COMP_WORDS[COMP_CWORD - 2]}
  fi
  COMPREPLY=()
  case $before in
    ${withValue(flags, "file")})
      local IFS=$'\\n'
      COMPREPLY=($(compgen -f -- "$word"))
      return ;;
${withValue(flags, "user") === "" ? "" : `    ${withValue(flags, "user")})\n      COMPREPLY=($(compgen -u -- "$word"))\n      return ;;\n`}    ${withValue(flags, "text")})
      return ;;
  esac
${name === "spiped" ? bashSubcommands() : ""}  local flags=" ${wordsOf(flags).join(" ")} "
  for given in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $given in
${flags.map(bashGiven).join("\n")}
    esac
  done
  COMPREPLY+=($(compgen -W "$flags" -- "$word"))
}
complete -o filenames -F _${name} ${name}
`;
  return `# bash completion for spiped and spipe. Made by scripts/build-completions.mjs.\n\n${commands.map(one).join("\n")}`;
}

function bashSubcommands() {
  return `  case \${COMP_WORDS[1]} in
    keygen | key-id)
      if [ "$COMP_CWORD" -gt 1 ]; then
        local IFS=$'\\n'
        [ "\${COMP_WORDS[1]}" = keygen ] && [ "$COMP_CWORD" -gt 2 ] || COMPREPLY=($(compgen -f -- "$word"))
        return
      fi ;;
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "keygen key-id" -- "$word"))
    [ -z "\${COMPREPLY[*]}" ] || [ -z "$word" ] || return
  fi
`;
}

/** What is no longer offered behind a flag. */
function bashGiven({ words, rivals }) {
  const without = rivals.map((rival) => `flags=\${flags/ ${rival.words.join(" ")} / }`).join("; ");
  return `      ${words.join("|")}) ${without} ;;`;
}

function zsh() {
  const actions = { file: ":file:_files", user: ":user:_users", text: ":value: " };
  const quoted = (text) => text.replaceAll("'", "'\\''").replace(/[[\]:]/g, "\\$&");
  const argument = ({ words, description, value, rivals }) => {
    // -kFILE, -k FILE; --key=FILE, --key FILE.
    const shown = words.map((word) => (value === undefined ? word : `${word}${word.startsWith("--") ? "=" : "+"}`));
    const spelt = shown.length === 1 ? `'${shown[0]}` : `{${shown.join(",")}}'`;
    return `'(${wordsOf(rivals).join(" ")})'${spelt}[${quoted(description)}]${value === undefined ? "" : actions[value]}'`;
  };
  const one = ({ name, flags }) => `    ${name})
      _arguments -s \\
        ${flags.map(argument).join(" \\\n        ")}
      ;;`;
  return `#compdef spiped spipe
# zsh completion for spiped and spipe. Made by scripts/build-completions.mjs.

_spiped_and_spipe() {
  if [[ $service == spiped && $words[2] == (keygen|key-id) && CURRENT -gt 2 ]]; then
    [[ $words[2] == keygen && CURRENT -gt 3 ]] || _files
    return
  fi
  [[ $service == spiped && CURRENT -eq 2 ]] && compadd keygen key-id
  case $service in
${commands.map(one).join("\n")}
  esac
}

_spiped_and_spipe "$@"
`;
}

function fish() {
  const one = ({ name, flags }) =>
    flags
      .map(({ short, long, description, value, rivals }) => {
        // A flag that takes a value must go on being known behind itself.
        const others = value === undefined ? rivals : rivals.slice(1);
        const given = others.map(
          (flag) => `${flag.short === undefined ? "" : `-s ${flag.short.slice(1)} `}${flag.long.slice(2)}`,
        );
        const conditions = [
          ...(name === "spiped" ? ["not __fish_seen_subcommand_from keygen key-id"] : []),
          ...(given.length === 0 ? [] : [`not __fish_contains_opt ${given.join(" ")}`]),
        ];
        return [
          `complete -c ${name}`,
          conditions.length === 0 ? "" : ` -n '${conditions.join("; and ")}'`,
          short === undefined ? "" : ` -s ${short.slice(1)}`,
          ` -l ${long.slice(2)}`,
          { file: " -r -F", user: " -x -a '(__fish_complete_users)'", text: " -x" }[value] ?? "",
          ` -d '${description.replaceAll("'", "\\'")}'`,
        ].join("");
      })
      .join("\n");
  return `# fish completion for spiped and spipe. Made by scripts/build-completions.mjs.

complete -c spiped -f
complete -c spipe -f
complete -c spiped -n __fish_is_first_arg -a keygen -d 'write a new key file'
complete -c spiped -n __fish_is_first_arg -a key-id -d 'tell key files apart'
complete -c spiped -n '__fish_seen_subcommand_from keygen key-id' -F
${commands.map(one).join("\n")}
`;
}
