// Words of the command line: packed, glued, repeated, contradictory, and numbers of every kind.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Command } from "commander";
import { addFlags, createCommand, parseWords, refuseContradictions } from "#dist/cli/options.js";
import { SpipedError } from "#dist/errors.js";
import { forwardSecrecyOf } from "#dist/flags/tunnel-values.js";
import { parseLimit, parseSeconds } from "#dist/flags/values.js";
import { throwsSpipedError } from "../support/errors.js";

/** A command with a flag of each kind. */
function command(): Command {
  return addFlags(createCommand("prog", "-t TARGET [-dFj]"), "spiped keygen")
    .option("-d, --decrypt", "a flag")
    .option("-F, --foreground", "a flag")
    .option("-j, --no-keep-alive", "a flag that turns off")
    .option("-t, --target <address>", "a word")
    .option("-n, --max <count>", "a number", parseLimit("-n", 1_000), 100)
    .option("-o, --timeout <seconds>", "a time", parseSeconds("-o", 5_000), 5_000)
    .configureOutput({ writeOut: () => undefined });
}

function optionsOf(...words: string[]): Readonly<Record<string, unknown>> {
  const it = command();
  assert.equal(parseWords(it, words), undefined);
  return it.opts();
}

const none = { keepAlive: true, max: 100, timeout: 5_000 };

for (const [words, options] of [
  [[], none],
  [["-d"], { ...none, decrypt: true }],
  [["--decrypt"], { ...none, decrypt: true }],
  [["-dF"], { ...none, decrypt: true, foreground: true }],
  [["-Fd", "-j"], { ...none, decrypt: true, foreground: true, keepAlive: false }],
  [["-dFjn5"], { ...none, decrypt: true, foreground: true, keepAlive: false, max: 5 }],
  [["-n5"], { ...none, max: 5 }],
  [["-n", "5"], { ...none, max: 5 }],
  [["--max=5"], { ...none, max: 5 }],
  [["--max", "5"], { ...none, max: 5 }],
  [["-o.5"], { ...none, timeout: 500 }],
  [["-t[::1]:80"], { ...none, target: "[::1]:80" }],
  [["-t", "/run/socket"], { ...none, target: "/run/socket" }],
  [["-dt/run/socket"], { ...none, decrypt: true, target: "/run/socket" }],
  [["-t", "-"], { ...none, target: "-" }],
  [["-t", ""], { ...none, target: "" }],
  [["--no-keep-alive"], { ...none, keepAlive: false }],
] as const) {
  test(`the words ${JSON.stringify(words)} are understood`, () => {
    assert.deepEqual(optionsOf(...words), options);
  });
}

for (const [words, message] of [
  [["-x"], /unknown option '-x'/],
  [new Array<string>(200_000).fill("x"), /too many arguments: 200000$/],
  [["--nonsense"], /unknown option '--nonsense'/],
  [["-dx"], /unknown option '-x'/],
  [["-t"], /argument missing/],
  [["leftover"], /too many arguments, from "leftover" on$/],
  [["-d", "leftover"], /too many arguments/],
  [["--", "-d"], /too many arguments, from "-d" on$/],
  [["-d", "-d"], /-d, --decrypt is given more than once/],
  [["-dd"], /more than once/],
  [["-d", "--decrypt"], /more than once/],
  [["-dFd"], /more than once/],
  [["-j", "--no-keep-alive"], /more than once/],
  [["-n5", "-n", "5"], /-n, --max <count> is given more than once/],
  [["-t", "a:1", "--target=b:2"], /more than once/],
] as const) {
  test(`the words ${JSON.stringify(words)} are a mistake, and the usage is the hint`, () => {
    assert.throws(
      () => parseWords(command(), words),
      (error) => {
        assert.ok(error instanceof SpipedError);
        assert.equal(error.code, "SPIPED_USAGE");
        assert.match(error.message, message);
        assert.match(error.message, /^[^A-Z\n][^\n]*[^.\n]$/, "lower case, one line, no full stop");
        assert.match(error.hint ?? "", /^usage: prog -t TARGET \[-dFj\]; prog --help explains$/);
        return true;
      },
    );
  });
}

test("where the words were those of --config, so is the usage in the hint", () => {
  for (const [words, usage] of [
    [["--config", "file", "-x"], "--config FILE"],
    [["-x", "--config=file"], "--config FILE"],
    [["--config"], "--config FILE"],
    [["-x", "--configure"], "-t TARGET"],
  ] as const) {
    const it = createCommand("prog", "-t TARGET\n       prog --config FILE").option("--config <file>", "a file");
    assert.throws(
      () => parseWords(it, words),
      (error) => error instanceof SpipedError && error.hint === `usage: prog ${usage}; prog --help explains`,
      words.join(" "),
    );
  }
});

test("help and version are written to standard output and end with status 0", () => {
  for (const word of ["-h", "--help", "-v", "--version"]) {
    const it = command();
    const outputs: string[] = [];
    it.configureOutput({ writeOut: (text) => outputs.push(text) });
    assert.deepEqual(parseWords(it, [word]), { exitStatus: 0 });
    assert.match(outputs.join(""), word.includes("v") ? /^prog \d+\.\d+\.\d+/ : /^Usage: prog -t TARGET/);
  }
});

for (const [text, milliseconds] of [
  ["0", 5_000],
  ["0.0", 5_000],
  ["1", 1_000],
  ["+1", 1_000],
  ["1.", 1_000],
  ["1.5", 1_500],
  [".25", 250],
  ["1e1", 10_000],
  ["1E-1", 100],
  ["0.001", 1],
  ["0.0001", 1],
  ["1e-300", 1],
  ["604800", 604_800_000],
  ["007", 7_000],
] as const) {
  test(`${JSON.stringify(text)} seconds are ${milliseconds} ms`, () => {
    assert.equal(parseSeconds("-o", 5_000)(text), milliseconds);
  });
}

for (const text of [
  "",
  " ",
  "-1",
  "-0",
  "abc",
  "5s",
  " 5",
  "5 ",
  "1,5",
  "1.5.5",
  ".",
  "1e",
  "0x10",
  "inf",
  "Infinity",
  "nan",
  "NaN",
  "604800.001",
  "604801",
  "1e400",
  "99999999999999999999",
]) {
  test(`${JSON.stringify(text)} is no number of seconds, and the message names the flag and the value`, () => {
    const named = `bad number of seconds for -o: ${JSON.stringify(text)}`;
    assert.throws(
      () => parseSeconds("-o", 5_000)(text),
      (error) => error instanceof SpipedError && error.code === "SPIPED_USAGE" && error.message === named,
    );
  });
}

for (const [text, count] of [
  ["0", Number.POSITIVE_INFINITY],
  ["000", Number.POSITIVE_INFINITY],
  ["1", 1],
  ["+1", 1],
  ["0100", 100],
  ["1000", 1_000],
] as const) {
  test(`a limit of ${JSON.stringify(text)} is ${count}`, () => {
    assert.equal(parseLimit("-n", 1_000)(text), count);
  });
}

for (const text of ["", "-1", "-0", "1.5", "1e3", "abc", " 5", "5 ", "0x10", "1001", "99999999999999999999", "inf"]) {
  test(`${JSON.stringify(text)} is no limit, and the message names the flag and the value`, () => {
    const named = `bad number for -n: ${JSON.stringify(text)}`;
    assert.throws(
      () => parseLimit("-n", 1_000)(text),
      (error) => error instanceof SpipedError && error.code === "SPIPED_USAGE" && error.message === named,
    );
  });
}

test("a number that is wrong on the command line is told as such, not as a mistake in the usage", () => {
  throwsSpipedError(() => parseWords(command(), ["-n", "-5"]), "SPIPED_USAGE", /^bad number for -n: "-5"$/);
  throwsSpipedError(() => parseWords(command(), ["-n-5"]), "SPIPED_USAGE", /^bad number for -n: "-5"$/);
  throwsSpipedError(() => parseWords(command(), ["-o", "soon"]), "SPIPED_USAGE", /for -o: "soon"$/);
});

test("-f and -g make one value, and exclude each other", () => {
  assert.equal(forwardSecrecyOf({}), "allow");
  assert.equal(forwardSecrecyOf({ withoutForwardSecrecy: true }), "off");
  assert.equal(forwardSecrecyOf({ requireForwardSecrecy: true }), "require");
  const it = addFlags(createCommand("prog", ""), "spipe");
  assert.equal(parseWords(it, ["-fg"]), undefined);
  throwsSpipedError(() => refuseContradictions(it, "spipe"), "SPIPED_USAGE", /^-f .* and -g .*; take one of them$/);
});

test("a long text that is no number of seconds is refused at once", () => {
  // When the expression went back over the digits, this took more than ten seconds.
  const started = performance.now();
  assert.throws(() => parseSeconds("-o", 5_000)(`${"1".repeat(64_000)}!`), /bad number of seconds/);
  assert.ok(performance.now() - started < 5_000);
});
