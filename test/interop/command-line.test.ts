// The same arguments to both implementations: ours accepts what the original accepts, and refuses what it refuses, for the
// same reason. Deliberate differences are marked.

import assert from "node:assert/strict";
import { test } from "node:test";
import { limits } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { ours, withCOriginal } from "../support/programs.js";

/** The result of parsing: an error, or accepted up to the key file, which does not exist. */
type Verdict = "usage" | "number" | "address" | "taken";

const verdicts: Readonly<Record<"ours" | "C", readonly (readonly [Verdict, RegExp])[]>> = {
  C: [
    ["usage", /^usage: /m],
    ["number", /Error parsing argument: /],
    ["address", /Error resolving socket address|Address must/],
    ["taken", /Cannot open file: .*no-key/],
  ],
  ours: [
    [
      "usage",
      /^spiped: -\S.* (?:is|are) missing$|needs a value|given twice$|exclude each other$|unexpected arg|unknown opt|takes no value|empty value$/m,
    ],
    ["number", /bad number/],
    ["address", /bad address|cannot resolve/],
    ["taken", /cannot read key file .*no-key/],
  ],
};

const s = ["-s", "/nowhere/source"] as const;
const t = ["-t", "/nowhere/target"] as const;
const k = ["-k", "/nowhere/no-key"] as const;
const right = ["-d", ...s, ...t, ...k] as const;

/** The arguments, and the verdict of both; or that of the C original first and ours second. */
const cases: readonly (readonly [readonly string[], Verdict, Verdict?])[] = [
  [right, "taken"],
  [["-dF", ...s, ...t, ...k], "taken"],
  [["-dF", "-s/nowhere/source", "-t/nowhere/target", "-k/nowhere/no-key"], "taken"],
  [["-DFRdfjn5", "-o0.5", ...s, ...t, ...k, "--syslog"], "taken"],
  [["-DFdgj", "-r9", "-p", "pid", "-u", "root", ...s, ...t, ...k], "taken"],
  [[...right, "-F", "--"], "taken"],
  [[...right, "-F", "-n", "0"], "taken"],
  [[...right, "-F", "-n", "+5"], "taken"],
  [[...right, "-F", "-o", "0"], "taken"],
  [[...right, "-F", "-o", "0.001"], "taken"],
  [[...right, "-F", "-o", ".5"], "taken"],
  [[...right, "-F", "-o", "5."], "taken"],
  [[...right, "-F", "-o", "1e1"], "taken"],
  [[...right, "-F", "-r", "0"], "taken"],
  [[...right, "-F", "-r", "0.25"], "taken"],
  [[...right, "-F", "-R", "-r", "60"], "taken"],
  [[...right, "-F", "-R", "-r", "0"], "taken"],
  // Differs from spiped: it takes the next argument as an option's value, whatever it is.
  [["-d", ...s, "-t", "-F", ...k], "address", "usage"],
  [[...right, "-n", "-F"], "number", "usage"],

  [[], "usage"],
  [["-e", ...right], "usage"],
  [["-F", ...s, ...t, ...k], "usage"],
  [["-d", ...t, ...k], "usage"],
  [["-d", ...s, ...k], "usage"],
  [["-d", ...s, ...t], "usage"],
  [[...right, "-f", "-g"], "usage"],
  [[...right, "-R", "-r", "61"], "usage"],
  [[...right, "word"], "usage"],
  [[...right, "--", "-F"], "usage"],
  [[...right, "--no-such-flag"], "usage"],
  [[...right, "--syslog=1"], "usage"],
  [[...right, "-x"], "usage"],
  ...["-d", "-D", "-F", "-j", "-f", "-g", "-R", "--syslog"].map((flag) => [[...right, flag, flag], "usage"] as const),
  ...["-s", "-t", "-k", "-n", "-o", "-p", "-r", "-u"].flatMap((flag) => [
    [[...right, flag, "1", flag, "1"], "usage"] as const,
    [[...right, flag], "usage"] as const,
  ]),

  ...["-n", "-o", "-r"].map((flag) => [[...right, "-F", flag, ""], "number", "usage"] as const),
  ...["x", "5x", "1.5", "=5"].map((value) => [[...right, "-F", "-n", value], "number"] as const),
  ...["-o", "-r"].flatMap((flag) =>
    ["x", "5s", "-1"].map((value) => [[...right, "-F", flag, value], "number"] as const),
  ),
  // Differs from spiped: it reads a negative -n as a huge one.
  [[...right, "-F", "-n", "-1"], "taken", "number"],
  [[...right, "-F", "-r", "inf"], "taken", "number"],
  [[...right, "-F", "-o", "1e9"], "taken", "number"],
  // Differs from spiped: numbers are decimal only.
  [[...right, "-F", "-n", "0x10"], "taken", "number"],

  [["-dF", "-s", "", ...t, ...k], "address", "usage"],
  [["-dF", ...s, "-t", "", ...k], "address", "usage"],
  ...["localhost", "[127.0.0.1]", "relative/path"].flatMap((address) => [
    [["-dF", "-s", address, ...t, ...k], "address"] as const,
    [["-dF", ...s, "-t", address, ...k], "address"] as const,
  ]),
];

withCOriginal((c) => {
  for (const [args, ofC, ofOurs = ofC] of cases) {
    const what = ofOurs === ofC ? `both say "${ofC}" to` : `C says "${ofC}" and ours "${ofOurs}" to`;
    test(`${what} spiped ${args.map((word) => word || "''").join(" ")}`, limits, async (test) => {
      const judge = async (program: typeof c): Promise<Verdict | string> => {
        const { status, stdout, stderr } = await Command.run(test, [...program.spiped, ...args]);
        assert.deepEqual([status, stdout], [1, ""], stderr);
        return verdicts[program.name].find(([, pattern]) => pattern.test(stderr))?.[0] ?? stderr;
      };
      assert.deepEqual(await Promise.all([judge(c), judge(ours)]), [ofC, ofOurs]);
    });
  }
});
