// Man pages and completions are made by scripts; what lies in the tree must be what they make now.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Command } from "commander";
import { spipeCommand } from "#dist/cli/spipe.js";
import { spipedCommand } from "#dist/cli/spiped.js";
import { commandOnPath, root } from "../support/programs.js";

function run(program: string, ...words: string[]): void {
  const { status, stdout, stderr } = spawnSync(program, words, { cwd: root, encoding: "utf8" });
  assert.equal(status, 0, `${stdout}${stderr}`);
  assert.equal(stderr, "");
}

/** Runs a program that not every machine has; without it the test is skipped, and says so. */
function testWith(program: string, name: string, run: () => void): void {
  test(name, { skip: commandOnPath(program) === undefined ? `missing: ${program}` : false }, run);
}

for (const script of ["build-man", "build-completions"]) {
  test(`what scripts/${script}.mjs makes is in the tree`, () => {
    run(process.execPath, `scripts/${script}.mjs`, "--check");
  });
}

for (const [page, command] of [
  ["spiped", spipedCommand()],
  ["spipe", spipeCommand()],
] as const) {
  test(`${page}(1) names every flag of ${page}, and no other`, () => {
    assert.deepEqual(flagsInPage(page), flagsOf(command));
  });

  testWith("man", `man shows ${page}(1) without a warning`, () => {
    run("man", "--warnings", "-l", `man/${page}.1`);
  });

  testWith("mandoc", `mandoc finds nothing to warn of in ${page}(1)`, () => {
    run("mandoc", "-T", "lint", "-W", "warning", `man/${page}.1`);
  });
}

test("README.md's table has every flag, short and long", () => {
  const readme = readFileSync(join(root, "README.md"), "utf8");
  for (const command of [spipedCommand(), spipeCommand()]) {
    for (const flag of flagsOf(command)) assert.match(readme, new RegExp(`^\\|.*\`${flag}[ \`]`, "m"), flag);
  }
});

for (const [shell, file] of [
  ["bash", "spiped.bash"],
  ["zsh", "_spiped"],
  ["fish", "spiped.fish"],
] as const) {
  testWith(shell, `${shell} parses completions/${file}`, () => run(shell, "-n", `completions/${file}`));
}

testWith("bash", "bash completes flags and files", () => {
  const completed = (words: string) => {
    const script = `source completions/spiped.bash; COMP_WORDS=(${words}); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _spiped; echo "\${COMPREPLY[@]}"`;
    return spawnSync("bash", ["-c", script], { cwd: root, encoding: "utf8" }).stdout.trim();
  };
  assert.equal(completed("spiped --re"), "--require-forward-secrecy --resolve-interval --resolve-once");
  assert.equal(completed("spiped -k READ"), "README.md");
});

test("DESIGN.md's comparison with the C original names test files that exist", () => {
  const text = readFileSync(join(root, "DESIGN.md"), "utf8").split("\n## Drop-in for the C original\n")[1] ?? "";
  const rows = text.split("\n").filter((line) => /^\|(?! the original| -)/.test(line));
  assert.ok(rows.length > 40);
  for (const row of rows) {
    const heldBy =
      row
        .split("|")
        .at(-2)
        ?.replaceAll(/"(?:[^"]|"(?=\w))*"/g, "") ?? "";
    const files = heldBy.split(";").map((part) => part.split(/[:,]/)[0]?.trim() ?? "");
    assert.ok(files.length > 0, row);
    for (const file of files) {
      const path = file.includes("/") ? `test/${file}.test.ts` : `test/integration/${file}.test.ts`;
      assert.ok(existsSync(join(root, path)), `${path}: ${row}`);
    }
  }
});

function flagsOf(command: Command): readonly string[] {
  const options = command.createHelp().visibleOptions(command);
  return options
    .flatMap(({ short, long }) => [short, long])
    .filter((flag) => flag !== undefined)
    .sort();
}

function flagsInPage(page: string): readonly string[] {
  const text = readFileSync(join(root, `docs/man/${page}.1.md`), "utf8");
  const options = text.split("\n## OPTIONS\n")[1]?.split("\n## ")[0] ?? "";
  const terms = [...options.matchAll(/^- (.*?): /gm)].map((match) => match[1] ?? "");
  return terms.flatMap((term) => term.match(/(?<=`)-[^`]+(?=`)/g) ?? []).sort();
}
