// The table of options, and the command line, environment variables and usage lines made from it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { spipeCommand } from "#dist/cli/spipe.js";
import { spipedCommand } from "#dist/cli/spiped.js";
import {
  attributeOf,
  CONTRADICTIONS,
  contradictionIn,
  defaultOf,
  FLAGS,
  type Flag,
  flagsOf,
  GROUPS,
  isGiven,
  labelOf,
  rivalsOf,
  variableOf,
} from "#dist/flags/flags.js";
import { shortUsageOf, usageOf } from "#dist/flags/usage.js";
import { MAX_DEFAULT_THREADS } from "#dist/tunnel/flow-settings.js";

const flags: readonly Flag[] = FLAGS;

test("every option is in the table once", () => {
  for (const command of ["spiped", "spipe", "spiped keygen", "spiped key-id"] as const) {
    const names = flagsOf(command).flatMap(({ long, short }) => [long, ...(short === undefined ? [] : [short])]);
    assert.deepEqual(
      names.filter((name, at) => names.indexOf(name) !== at),
      [],
      command,
    );
  }
});

test("the groups of the table are in the order of the headings", () => {
  const groups = flags.map(({ group }) => group);
  assert.deepEqual([...new Set(groups)], Object.keys(GROUPS));
  assert.equal(groups.filter((group, at) => group !== groups[at - 1]).length, Object.keys(GROUPS).length);
});

test("the help of --threads says what the default is", () => {
  const help = flags.find(({ long }) => long === "threads")?.help ?? "";
  assert.ok(help.endsWith(`at most ${MAX_DEFAULT_THREADS})`), help);
});

test("an option has an argument name if and only if it takes a value", () => {
  for (const { long, argument, value } of flags) {
    const takesNone = ["switch", "negation", "version", "help"].includes(value.kind);
    assert.equal(argument === undefined, takesNone, long);
    assert.equal(long.startsWith("no-"), value.kind === "negation", long);
  }
});

test("each help text is one line, starts in lower case and has no full stop", () => {
  for (const { help } of flags) assert.match(help, /^(?:[a-z].*|USER.*)[^.\n]$/);
});

for (const [name, command] of [
  ["spiped", spipedCommand()],
  ["spipe", spipeCommand()],
] as const) {
  test(`${name} takes the options of the table, with their names, defaults and headings`, () => {
    const rows = flagsOf(name).filter(({ value }) => value.kind !== "help");
    assert.deepEqual(
      new Set(
        command.options.map((option) => [option.long, option.short, option.attributeName(), option.defaultValue]),
      ),
      new Set(
        rows.map((flag) => [
          `--${flag.long}`,
          flag.short && `-${flag.short}`,
          attributeOf(flag),
          flag.value.kind === "negation" ? undefined : defaultOf(flag),
        ]),
      ),
    );
  });

  test(`the help of ${name} has every option below its heading`, () => {
    const help = command.helpInformation();
    let heading = "";
    const found: string[] = [];
    for (const line of help.split("\n")) {
      if (/^[A-Z].*:$/.test(line)) heading = line;
      const [, long] = /^ {2}(?:-\w, )?--([\w-]+)/.exec(line) ?? [];
      if (long !== undefined) found.push(`${heading} ${long}`);
    }
    assert.deepEqual(
      found,
      flagsOf(name).map(({ group, long }) => `${GROUPS[group]} ${long}`),
    );
  });

  test(`the usage line of ${name} has every option except the last two`, () => {
    const usage = usageOf(name).join(" ");
    for (const { long, short, group } of flagsOf(name)) {
      if (group === "about") continue;
      const word = short === undefined ? `--${long}` : `-(?:\\w*${short}\\w*\\b)`;
      assert.match(usage, new RegExp(`(?:^|[ [{])${word}(?:[ \\]}]|$)`), long);
    }
  });
}

test("the usage line has required options, flags in one bracket, then short and long options", () => {
  assert.deepEqual(usageOf("spipe"), [
    "-t TARGET -k KEYFILE [-j] [-b BIND] [-f | -g] [-o SECONDS] [--end-with-remote] [--no-coalescing] [--probe]",
  ]);
  const [single = "", config = ""] = usageOf("spiped");
  assert.match(config, /^--config FILE \[-DF\] /);
  assert.match(single, /^\{-e \| -d\} -s SOURCE -t TARGET -k KEYFILE \[-DFj\] \[-b BIND\] \[-f \| -g\] /);
});

test("the usage of --help has the required options, and a line for each other way", () => {
  assert.deepEqual(shortUsageOf("spipe"), ["-t TARGET -k KEYFILE [options]"]);
  assert.deepEqual(shortUsageOf("spiped"), [
    "{-e | -d} -s SOURCE -t TARGET -k KEYFILE [options]",
    "--config FILE [options]",
  ]);
});

test("an option's variable and the name of its value are made from its long name", () => {
  assert.equal(variableOf("no-keep-alive"), "SPIPED_NO_KEEP_ALIVE");
  const negation = flags.find(({ long }) => long === "no-keep-alive");
  assert.ok(negation !== undefined);
  assert.equal(attributeOf(negation), "keepAlive");
  assert.equal(isGiven(negation, { keepAlive: true }), false);
  assert.equal(isGiven(negation, { keepAlive: false }), true);
});

test("contradictions name known options, and each option is in at most one", () => {
  const names = CONTRADICTIONS.flatMap((one) => one.flags);
  assert.equal(new Set(names).size, names.length);
  for (const name of names) assert.ok(flags.some(({ long }) => long === name));
  assert.deepEqual(rivalsOf("encrypt"), ["decrypt", "config"]);
  assert.deepEqual(rivalsOf("timeout"), ["config"]);
  assert.deepEqual(rivalsOf("syslog"), []);
  assert.ok(["encrypt", "source", "no-keep-alive"].every((name) => rivalsOf("config").includes(name)));
});

test("options exclude each other only if each has a value other than its default", () => {
  const none = { encrypt: true, resolveInterval: 60_000, timeout: 5_000 };
  assert.equal(contradictionIn("spiped", none), undefined);
  assert.equal(contradictionIn("spiped", {}), undefined);
  const found = (values: object) => contradictionIn("spiped", { ...none, ...values })?.flags.map(labelOf);
  assert.deepEqual(found({ decrypt: true }), ["-e", "-d"]);
  assert.equal(contradictionIn("spiped", { ...none, resolveOnce: true }), undefined);
  assert.deepEqual(found({ resolveOnce: true, resolveInterval: 1 }), ["-r", "-R"]);
  assert.equal(contradictionIn("spipe", {}), undefined);
});
