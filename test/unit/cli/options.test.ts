// Arguments: combined, with attached values, repeated, contradictory, and numbers of every kind.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Command } from "commander";
import { addFlags, createCommand, parseArguments, refuseContradictions } from "#dist/cli/options.js";
import { SpipedError } from "#dist/errors.js";
import { forwardSecrecyOf } from "#dist/flags/tunnel-values.js";
import { parseLimit, parseSeconds } from "#dist/flags/values.js";
import { throwsSpipedError } from "../support/errors.js";

/** A command with an option of each kind. */
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

function optionsOf(...args: string[]): Readonly<Record<string, unknown>> {
  const it = command();
  assert.equal(parseArguments(it, args), undefined);
  return it.opts();
}

const none = { keepAlive: true, max: 100, timeout: 5_000 };

for (const [args, options] of [
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
  [["--no-keep-alive"], { ...none, keepAlive: false }],
] as const) {
  test(`the arguments ${JSON.stringify(args)} are parsed`, () => {
    assert.deepEqual(optionsOf(...args), options);
  });
}

for (const [args, message] of [
  [["-x"], /unknown option -x/],
  [new Array<string>(200_000).fill("x"), /too many arguments: 200000$/],
  [["--nonsense"], /unknown option --nonsense/],
  [["-dx"], /unknown option -x/],
  [["-t"], /^-t needs a value$/],
  [["-t", ""], /^-t has an empty value$/],
  [["-t", "-d"], /^-t needs a value, and -d is an option$/],
  [["-t=a:1"], /^-t takes its value without =$/],
  [["-decrypt"], /^-decrypt has one dash, and long options have two$/],
  [["leftover"], /^unexpected argument "leftover"$/],
  [["-d", "leftover"], /unexpected argument/],
  [["--", "-d"], /^unexpected argument "-d"$/],
  [["-d", "-d"], /^-d is given twice$/],
  [["-dd"], /given twice/],
  [["-d", "--decrypt"], /given twice/],
  [["-dFd"], /given twice/],
  [["-j", "--no-keep-alive"], /given twice/],
  [["-n5", "-n", "5"], /^-n is given twice$/],
  [["-t", "a:1", "--target=b:2"], /given twice/],
] as const) {
  test(`the arguments ${JSON.stringify(args)} are refused in one line, with a hint instead of usage text`, () => {
    assert.throws(
      () => parseArguments(command(), args),
      (error) => {
        assert.ok(error instanceof SpipedError);
        assert.equal(error.code, "SPIPED_USAGE");
        assert.match(error.message, message);
        assert.match(error.message, /^[^A-Z\n][^\n]*[^.\n]$/, "lower case, one line, no full stop");
        assert.match(error.hint ?? "", /^(?!usage)[^A-Z\n][^\n]*[^.\n]$/);
        return true;
      },
    );
  });
}

test("help and version are written to standard output, with exit status 0", () => {
  for (const word of ["-h", "--help", "-v", "--version"]) {
    const it = command();
    const outputs: string[] = [];
    it.configureOutput({ writeOut: (text) => outputs.push(text) });
    assert.deepEqual(parseArguments(it, [word]), { exitStatus: 0 });
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
  test(`${JSON.stringify(text)} is not a number of seconds, and the message names the option and the value`, () => {
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
  test(`${JSON.stringify(text)} is not a limit, and the message names the option and the value`, () => {
    const named = `bad number for -n: ${JSON.stringify(text)}`;
    assert.throws(
      () => parseLimit("-n", 1_000)(text),
      (error) => error instanceof SpipedError && error.code === "SPIPED_USAGE" && error.message === named,
    );
  });
}

test("a number that is wrong on the command line is reported as a bad number", () => {
  throwsSpipedError(() => parseArguments(command(), ["-n", "-5"]), "SPIPED_USAGE", /^bad number for -n: "-5"$/);
  throwsSpipedError(() => parseArguments(command(), ["-n-5"]), "SPIPED_USAGE", /^bad number for -n: "-5"$/);
  throwsSpipedError(() => parseArguments(command(), ["-o", "soon"]), "SPIPED_USAGE", /for -o: "soon"$/);
});

test("-f and -g set one value, and exclude each other", () => {
  assert.equal(forwardSecrecyOf({}), "allow");
  assert.equal(forwardSecrecyOf({ withoutForwardSecrecy: true }), "off");
  assert.equal(forwardSecrecyOf({ requireForwardSecrecy: true }), "require");
  const it = addFlags(createCommand("prog", ""), "spipe");
  assert.equal(parseArguments(it, ["-fg"]), undefined);
  throwsSpipedError(() => refuseContradictions(it, "spipe"), "SPIPED_USAGE", /^-f and -g exclude each other$/);
});

test("a long text that is not a number of seconds is refused at once", () => {
  // With a regular expression that backtracks over the digits, this took more than ten seconds.
  const started = performance.now();
  assert.throws(() => parseSeconds("-o", 5_000)(`${"1".repeat(64_000)}!`), /bad number of seconds/);
  assert.ok(performance.now() - started < 5_000);
});
