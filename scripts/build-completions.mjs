// Makes the shells' completions of the commands' own lists of flags: completions/spiped.bash, _spiped, spiped.fish.
// With --check it only says whether they are new. Needs dist/.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { spipeCommand } from "../dist/cli/spipe.js";
import { spipedCommand } from "../dist/cli/spiped.js";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));

/** Flags whose value is a file. */
const FILES = new Set(["--key", "--pid-file"]);
const commands = [spipedCommand(), spipeCommand()].map((command) => ({
  name: command.name(),
  flags: command
    .createHelp()
    .visibleOptions(command)
    .map(({ short, long, description, required }) => ({
      words: [short, long].filter((word) => word !== undefined),
      short,
      long,
      description,
      value: required ? (FILES.has(long) ? "file" : long === "--user" ? "user" : "text") : undefined,
    })),
}));

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

function bash() {
  const words = (flags) => flags.flatMap((flag) => flag.words).join(" ");
  const those = (flags, value) =>
    flags
      .filter((flag) => flag.value === value)
      .flatMap((flag) => flag.words)
      .join("|");
  const one = ({ name, flags }) => `_${name}() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD - 1]}
  COMPREPLY=()
  case $before in
    ${[those(flags, "file"), name === "spiped" ? "keygen" : ""].filter(Boolean).join("|")})
      local IFS=$'\\n'
      COMPREPLY=($(compgen -f -- "$word"))
      return ;;
${those(flags, "user") === "" ? "" : `    ${those(flags, "user")})\n      COMPREPLY=($(compgen -u -- "$word"))\n      return ;;\n`}    ${those(flags, "text")})
      return ;;
  esac
  COMPREPLY=($(compgen -W "${name === "spiped" ? "keygen " : ""}${words(flags)}" -- "$word"))
}
complete -o filenames -F _${name} ${name}
`;
  return `# bash completion for spiped and spipe. Made by scripts/build-completions.mjs.\n\n${commands.map(one).join("\n")}`;
}

function zsh() {
  const actions = { file: ":file:_files", user: ":user:_users", text: ":value: " };
  const quoted = (text) => text.replaceAll("'", "'\\''").replace(/[[\]:]/g, "\\$&");
  const argument = ({ words, description, value }) =>
    `'(${words.join(" ")})'{${words.join(",")}}'[${quoted(description)}]${value === undefined ? "" : actions[value]}'`;
  const single = ({ long, description, value }) =>
    `'${long}[${quoted(description)}]${value === undefined ? "" : actions[value]}'`;
  const one = ({ name, flags }) => `    ${name})
      _arguments -s \\
        ${flags.map((flag) => (flag.words.length === 1 ? single(flag) : argument(flag))).join(" \\\n        ")}
      ;;`;
  return `#compdef spiped spipe
# zsh completion for spiped and spipe. Made by scripts/build-completions.mjs.

_spiped_and_spipe() {
  if [[ $service == spiped && $words[2] == keygen ]]; then
    _files
    return
  fi
  [[ $service == spiped && CURRENT -eq 2 ]] && compadd keygen
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
      .map(({ short, long, description, value }) =>
        [
          `complete -c ${name}`,
          short === undefined ? "" : ` -s ${short.slice(1)}`,
          ` -l ${long.slice(2)}`,
          { file: " -r -F", user: " -x -a '(__fish_complete_users)'", text: " -x" }[value] ?? "",
          ` -d '${description.replaceAll("'", "\\'")}'`,
        ].join(""),
      )
      .join("\n");
  return `# fish completion for spiped and spipe. Made by scripts/build-completions.mjs.

complete -c spiped -f
complete -c spipe -f
complete -c spiped -n __fish_use_subcommand -a keygen -d 'write a new key file'
complete -c spiped -n '__fish_seen_subcommand_from keygen' -F
${commands.map(one).join("\n")}
`;
}
