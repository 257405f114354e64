// Makes the shells' completions of the table of flags: completions/spiped.bash, _spiped, spiped.fish.
// With --check it only says whether they are new. Needs dist/.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { flagsOf, rivalsOf } from "../dist/flags/flags.js";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));

const commands = ["spiped", "spipe"].map((name) => {
  const flags = flagsOf(name).map(({ long, short, value, help, helpFor }) => ({
    words: [...(short === undefined ? [] : [`-${short}`]), `--${long}`],
    short,
    long,
    description: helpFor?.[name] ?? help,
    value: completionOf(value),
    choices: value.kind === "choice" ? value.choices : [],
  }));
  return { name, flags: flags.map((flag) => ({ ...flag, rivals: excludedBy(flag, flags) })) };
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

/** What a shell offers behind a flag. */
function completionOf({ kind }) {
  if (["switch", "negation", "version", "help"].includes(kind)) return undefined;
  return ["file", "user", "choice"].includes(kind) ? kind : "text";
}

/** The flags that cannot be given beside this one, itself the first. */
function excludedBy(flag, flags) {
  const rivals = rivalsOf(flag.long);
  return [flag, ...flags.filter(({ long }) => rivals.includes(long))];
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
${withValue(flags, "user") === "" ? "" : `    ${withValue(flags, "user")})\n      COMPREPLY=($(compgen -u -- "$word"))\n      return ;;\n`}${bashChoices(flags)}    ${withValue(flags, "text")})
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

function bashChoices(flags) {
  return flags
    .filter(({ value }) => value === "choice")
    .map(
      ({ words, choices }) =>
        `    ${words.join("|")})\n      COMPREPLY=($(compgen -W "${choices.join(" ")}" -- "$word"))\n      return ;;\n`,
    )
    .join("");
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
  const actionOf = (value, choices) => (value === "choice" ? `:value:(${choices.join(" ")})` : (actions[value] ?? ""));
  const quoted = (text) => text.replaceAll("'", "'\\''").replace(/[[\]:]/g, "\\$&");
  const argument = ({ words, description, value, choices, rivals }) => {
    // -kFILE, -k FILE; --key=FILE, --key FILE.
    const shown = words.map((word) => (value === undefined ? word : `${word}${word.startsWith("--") ? "=" : "+"}`));
    const spelt = shown.length === 1 ? `'${shown[0]}` : `{${shown.join(",")}}'`;
    return `'(${wordsOf(rivals).join(" ")})'${spelt}[${quoted(description)}]${actionOf(value, choices)}'`;
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

function fishValue(value, choices) {
  if (value === "choice") return ` -x -a '${choices.join(" ")}'`;
  return { file: " -r -F", user: " -x -a '(__fish_complete_users)'", text: " -x" }[value] ?? "";
}

function fish() {
  const one = ({ name, flags }) =>
    flags
      .map(({ short, long, description, value, choices, rivals }) => {
        // A flag that takes a value must go on being known behind itself.
        const others = value === undefined ? rivals : rivals.slice(1);
        const given = others.map((flag) => `${flag.short === undefined ? "" : `-s ${flag.short} `}${flag.long}`);
        const conditions = [
          ...(name === "spiped" ? ["not __fish_seen_subcommand_from keygen key-id"] : []),
          ...(given.length === 0 ? [] : [`not __fish_contains_opt ${given.join(" ")}`]),
        ];
        return [
          `complete -c ${name}`,
          conditions.length === 0 ? "" : ` -n '${conditions.join("; and ")}'`,
          short === undefined ? "" : ` -s ${short}`,
          ` -l ${long}`,
          fishValue(value, choices),
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
