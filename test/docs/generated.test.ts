// Man pages, completions, docs/compatibility.md and the test vectors are generated; the committed files must be up to
// date.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type Flag, flagsOf } from "#dist/flags/flags.js";
import { usageOf } from "#dist/flags/usage.js";
import { failsafeMs } from "../support/cleanup.js";
import { root, withCommands } from "../support/programs.js";

function run(program: string, ...words: string[]): void {
  const { status, stdout, stderr } = spawnSync(program, words, { cwd: root, encoding: "utf8" });
  assert.equal(status, 0, `${stdout}${stderr}`);
  assert.equal(stderr, "");
}

/** Declares a test that needs a program; without it the test is reported as skipped. */
function testWith(program: string, name: string, run: () => void): void {
  withCommands([program], () => test(name, run));
}

for (const script of ["build-man", "build-completions", "build-compatibility", "build-vectors"]) {
  test(`the committed files are those that scripts/${script}.mjs generates`, () => {
    run(process.execPath, `scripts/${script}.mjs`, "--check");
  });
}

for (const page of ["spiped", "spipe"] as const) {
  test(`${page}(1) has every flag of ${page} and no other, each once and with its placeholder`, () => {
    assert.deepEqual(sectionOf(page, "OPTIONS").match(/(?<=^\.TP\n).*$/gm), flagsOf(page).map(termOf));
  });

  test(`docs/man/${page}.1.md says more of each flag than --help`, () => {
    const text = readFileSync(join(root, `docs/man/${page}.1.md`), "utf8");
    for (const flag of flagsOf(page).filter(({ group }) => group !== "about")) {
      const names = wordsOf(flag).map((word) => `\`${word}\``);
      assert.ok(text.includes(`\n- ${names.join(", ")}: `), `--${flag.long}`);
    }
  });

  test(`${page}(1) names every flag of ${page} in its synopsis`, () => {
    const synopsis = sectionOf(page, "SYNOPSIS").replaceAll("\\-", "-").replaceAll(/\s+/g, " ");
    for (const usage of usageOf(page)) assert.ok(synopsis.includes(`${page} ${usage} `), synopsis);
  });

  // The man of other systems has neither of these flags.
  if (process.platform === "linux") {
    testWith("man", `man shows ${page}(1) without a warning`, () => {
      run("man", "--warnings", "-l", `man/${page}.1`);
    });
  }

  testWith("mandoc", `mandoc finds nothing to warn of in ${page}(1)`, () => {
    run("mandoc", "-T", "lint", "-W", "warning", `man/${page}.1`);
  });
}

for (const [shell, file] of [
  ["bash", "spiped.bash"],
  ["zsh", "_spiped"],
  ["fish", "spiped.fish"],
] as const) {
  testWith(shell, `${shell} parses completions/${file}`, () => run(shell, "-n", `completions/${file}`));
}

/** Command lines before and after TAB; if they are equal, there is nothing to complete. */
const completed: ReadonlyArray<readonly [words: string, line: string]> = [
  ["spiped --de", "spiped --decrypt "],
  ["spiped keyg", "spiped keygen "],
  ["spiped key-", "spiped key-id "],
  ["spiped key-id READ", "spiped key-id README.md "],
  ["spiped key-id CHANGELOG.md READ", "spiped key-id CHANGELOG.md README.md "],
  ["spiped key-id --de", "spiped key-id --de"],
  ["spiped keygen READ", "spiped keygen README.md "],
  ["spiped keygen --de", "spiped keygen --de"],
  ["spiped -e k", "spiped -e k"],
  ["spiped -k READ", "spiped -k README.md "],
  ["spiped --key READ", "spiped --key README.md "],
  ["spiped --config READ", "spiped --config README.md "],
  ["spiped --key=READ", "spiped --key=README.md "],
  ["spiped -d -p READ", "spiped -d -p README.md "],
  ["spiped -u roo", "spiped -u root "],
  ["spiped -s READ", "spiped -s READ"],
  ["spiped -e --de", "spiped -e --de"],
  ["spiped --decrypt --en", "spiped --decrypt --en"],
  ["spiped -e --sy", "spiped -e --syslog "],
  ["spiped -g --without", "spiped -g --without"],
  ["spiped -R --resolve-i", "spiped -R --resolve-i"],
  ["spiped --syslog --sy", "spiped --syslog --sy"],
  ["spipe --end", "spipe --end-with-remote "],
  ["spipe -k READ", "spipe -k README.md "],
  ["spipe --enc", "spipe --enc"],
];

for (const shell of ["bash", "zsh"] as const) {
  /** How one shell completes each of these lines. */
  const pressTab = (
    lines: readonly string[],
    ...settings: readonly string[]
  ): ReadonlyArray<{ readonly shown: string; readonly line: string | undefined }> => {
    const folder = join(root, "completions");
    const script = [join(root, "test/support/press-tab.py"), shell, folder, JSON.stringify(lines), ...settings];
    const { stdout, stderr } = spawnSync("python3", script, { cwd: root, encoding: "utf8", timeout: failsafeMs });
    assert.notEqual(stdout, "", stderr);
    const all = JSON.parse(stdout) as readonly string[];
    return all.map((shown) => ({ shown, line: /LINE:(.*):$/m.exec(shown)?.[1] }));
  };

  withCommands(["python3", shell], () => {
    test(`TAB in ${shell} completes flags and files`, { skip: shell === "bash" && oldBash() }, () => {
      const ambiguous = ["spiped ", "spiped --re", "spiped -"];
      const pressed = pressTab([...completed.map(([words]) => words), ...ambiguous]);
      assert.equal(pressed.length, completed.length + ambiguous.length);
      for (const [index, [, line]] of completed.entries())
        assert.equal(pressed[index]?.line, line, pressed[index]?.shown);
      const [first = "", shown = "", dash = ""] = pressed.slice(completed.length).map((one) => one.shown);
      for (const word of ["keygen", "key-id", "--encrypt"]) assert.ok(first.includes(word), `${word}: ${first}`);
      for (const flag of ["--require-forward-secrecy", "--resolve-interval", "--resolve-once"]) {
        assert.match(shown, new RegExp(`^${flag}|  ${flag} `, "m"), shown);
      }
      // Bash before 4.4 sorts them, without regard to dashes.
      if (shell === "bash" && bashVersion() >= 4.4) assert.match(dash, /^-e .*\n-d .*\n-s .*\n-t /m);
    });

    test(`the lines in docs/install.md load the completions in ${shell}`, {
      skip: shell === "bash" && oldBash(),
    }, () => {
      const lines = installLines(shell);
      const settings = shell === "zsh" ? `${lines}\nautoload -U compinit && compinit` : lines;
      const pressed = pressTab(["spiped --de", "spipe --end"], settings);
      assert.deepEqual(
        pressed.map(({ line }) => line),
        ["spiped --decrypt ", "spipe --end-with-remote "],
        pressed.map(({ shown }) => shown).join(""),
      );
    });
  });
}

/** The commands of docs/install.md for a shell, with the folder of this checkout. */
function installLines(shell: string): string {
  const page = readFileSync(join(root, "docs/install.md"), "utf8");
  const [, lines] = new RegExp(`^\`\`\`${shell}\\n([\\s\\S]*?)^\`\`\`$`, "m").exec(page) ?? [];
  assert.ok(lines !== undefined);
  return lines.replaceAll("/usr/local/lib/node_modules/spiped", root);
}

/** The bash of macOS does not print its command line. */
function oldBash(): string | false {
  return bashVersion() < 4 ? "needs bash 4" : false;
}

/** Its major and minor version, for example 5.2. */
function bashVersion(): number {
  const { stdout } = spawnSync("bash", ["-c", "echo $BASH_VERSION"], { encoding: "utf8" });
  return Number(/^\d+\.\d+/.exec(stdout)?.[0] ?? 0);
}

testWith("fish", "TAB in fish completes flags and files", () => {
  const candidates = (words: string): readonly string[] => {
    const script = `source completions/spiped.fish; complete -C '${words}'`;
    const { stdout, stderr } = spawnSync("fish", ["--no-config", "-c", script], { cwd: root, encoding: "utf8" });
    assert.equal(stderr, "");
    return stdout.split("\n").flatMap((line) => line.split("\t")[0] || []);
  };
  for (const [words, line] of completed) {
    const added = line === words ? [] : [line.trimEnd().split(" ").at(-1)];
    assert.deepEqual(candidates(words), added, words);
  }
  assert.deepEqual(candidates("spiped --re"), ["--require-forward-secrecy", "--resolve-interval", "--resolve-once"]);
});

testWith("fish", "docs/install.md: its lines load the completions in fish", () => {
  const home = mkdtempSync(join(tmpdir(), "fish-"));
  try {
    const fish = (script: string) => {
      const env = { PATH: process.env["PATH"], HOME: home };
      const { stdout, stderr } = spawnSync("fish", ["-c", script], { cwd: root, encoding: "utf8", env });
      assert.equal(stderr, "");
      return stdout.split("\t")[0];
    };
    fish(installLines("fish"));
    assert.equal(fish("complete -C 'spiped --decr'"), "--decrypt");
    assert.equal(fish("complete -C 'spipe --end'"), "--end-with-remote");
  } finally {
    rmSync(home, { recursive: true });
  }
});

function wordsOf({ long, short }: Flag): readonly string[] {
  return [...(short === undefined ? [] : [`-${short}`]), `--${long}`];
}

/** A flag as shown on a man page. */
function termOf(flag: Flag): string {
  const placeholder = flag.placeholder ?? flag.argument?.toUpperCase();
  const value = placeholder === undefined ? "" : ` \\fI${placeholder}\\fR`;
  return wordsOf(flag)
    .map((word) => `\\fB${word.replaceAll("-", "\\-")}\\fR${value}`)
    .join(", ");
}

/** A section of a generated man page. */
function sectionOf(page: string, name: string): string {
  return (
    readFileSync(join(root, `man/${page}.1`), "utf8")
      .split(`\n.SH ${name}\n`)[1]
      ?.split("\n.SH ")[0] ?? ""
  );
}
