// The commands as far as words can be wrong: every mistake is one error before anything is opened or listened on.

import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { main as spipe } from "#dist/cli/spipe.js";
import { main as spipedMain } from "#dist/cli/spiped.js";
import { temporaryFolder } from "../../support/cleanup.js";
import { runModule } from "../support/children.js";
import { rejectsSpipedError } from "../support/errors.js";

const address = "[127.0.0.1]:9";
const spipedWords = ["-e", "-s", address, "-t", address, "-k", "/nowhere/key"];
const spipeWords = ["-t", address, "-k", "/nowhere/key"];

/** In the foreground, whatever the words: a daemon would be this file once more, and so on. */
function spiped(words: readonly string[]): Promise<number> {
  return spipedMain(words[0] === "keygen" ? words : ["-F", ...words]);
}

/** What a start comes to that goes beyond the words, in a process of its own: it listens to signals. */
function startOf(
  command: "spiped" | "spipe",
  words: readonly string[],
): { readonly code: string; readonly message: string } {
  const { stdout, stderr } = runModule(`
    const { main } = await import(dist("cli/${command}.js"));
    const failed = main(${JSON.stringify(words)}).then(() => ({ code: "none" }), (error) => error);
    process.stdout.write(JSON.stringify({ message: (await failed).message, code: (await failed).code }));
  `);
  assert.equal(stderr.toString(), "");
  return JSON.parse(stdout.toString());
}

/** The words without a flag and its value. */
function without(words: readonly string[], flag: string): readonly string[] {
  const at = words.indexOf(flag);
  return words.toSpliced(at, flag === "-e" ? 1 : 2);
}

for (const [words, message] of [
  [[], /-e or -d/],
  [without(spipedWords, "-e"), /either -e or -d is needed/],
  [[...spipedWords, "-d"], /-e and -d exclude each other/],
  [without(spipedWords, "-s"), /-s SOURCE is missing/],
  [without(spipedWords, "-t"), /-t TARGET is missing/],
  [without(spipedWords, "-k"), /-k KEYFILE is missing/],
  [[...spipedWords, "-f", "-g"], /-f .* -g/],
  [[...spipedWords, "-fg"], /-f .* -g/],
  [[...spipedWords, "-e"], /-e, --encrypt is given more than once/],
  [[...spipedWords, "-s", address], /-s, --source <address> is given more than once/],
  [[...spipedWords, "--foreground"], /more than once/],
  [[...spipedWords, "-D", "--daemonize-first"], /more than once/],
  [[...spipedWords, "-r", "5", "-R"], /-R .* -r/],
  [[...spipedWords, "-r", "-1"], /bad number of seconds for -r: "-1"/],
  [[...spipedWords, "--source-mode", "0888"], /bad permissions for --source-mode: "0888"/],
  [[...spipedWords, "--threads", "0"], /bad number for --threads: "0"/],
  [[...spipedWords, "--threads", "257"], /bad number for --threads: "257"/],
  [[...spipedWords, "--syslog=yes"], /unknown option/],
  [[...spipedWords, "-n", "1", "-n", "1"], /more than once/],
  [[...spipedWords, "-n", "-1"], /bad number for -n: "-1"/],
  [[...spipedWords, "-n", "many"], /bad number for -n: "many"/],
  [[...spipedWords, "-n1000001"], /bad number for -n: "1000001"/],
  [[...spipedWords, "-o", "-1"], /bad number of seconds for -o: "-1"/],
  [[...spipedWords, "leftover"], /too many arguments, from "leftover" on/],
  [[...spipedWords, "--nonsense"], /unknown option/],
  [["keygen"], /missing required argument 'file'/],
  [["keygen", "one", "two"], /too many arguments/],
  [["keygen", "-x", "one"], /unknown option/],
] as const) {
  test(`spiped ${words.join(" ") || "without words"} is a mistake in the usage`, async () => {
    await rejectsSpipedError(spiped(words), "SPIPED_USAGE", message);
  });
}

for (const [words, message] of [
  [[], /-t TARGET is missing/],
  [without(spipeWords, "-t"), /-t TARGET is missing/],
  [without(spipeWords, "-k"), /-k KEYFILE is missing/],
  [["-t", address, "-k", "-"], /-k - would take the key from the data/],
  [[...spipeWords, "-fg"], /-f .* -g/],
  [[...spipeWords, "-e"], /unknown option '-e'/],
  [[...spipeWords, "-s", address], /unknown option '-s'/],
  [[...spipeWords, "-n", "5"], /unknown option '-n'/],
  [[...spipeWords, "-t", address], /more than once/],
  [[...spipeWords, "-o", "x"], /bad number of seconds for -o: "x"/],
  [[...spipeWords, "leftover"], /too many arguments/],
] as const) {
  test(`spipe ${words.join(" ") || "without words"} is a mistake in the usage`, async () => {
    await rejectsSpipedError(spipe(words), "SPIPED_USAGE", message);
  });
}

for (const [flag, name] of [
  ["-s", "source"],
  ["-t", "target"],
] as const) {
  for (const wrong of ["", ":80", "host", "host:", " host:80", "[::1]", "/".padEnd(109, "p")]) {
    test(`a ${name} of ${JSON.stringify(wrong.slice(0, 12))} is a bad address, before anything is looked up`, async () => {
      await rejectsSpipedError(
        spiped([...without(spipedWords, flag), flag, wrong]),
        "SPIPED_ADDRESS",
        /^bad address "/,
      );
    });
  }
}

test("a local address that is a UNIX socket is refused by both commands", async () => {
  await rejectsSpipedError(spiped([...spipedWords, "-b", "/run/s"]), "SPIPED_ADDRESS", /bound to a UNIX socket/);
  await rejectsSpipedError(spipe([...spipeWords, "-b", "/run/s"]), "SPIPED_ADDRESS", /bound to a UNIX socket/);
});

test("a key file that is not there is said by both commands before they listen or dial", () => {
  for (const failure of [startOf("spiped", ["-F", ...spipedWords]), startOf("spipe", spipeWords)]) {
    assert.equal(failure.code, "SPIPED_KEY_FILE");
    assert.match(failure.message, /there is no such file/);
  }
});

test("a name that nobody has is said before the key file is read", () => {
  const failure = startOf("spiped", ["-F", ...without(spipedWords, "-t"), "-t", "nobody.invalid:80"]);
  assert.equal(failure.code, "SPIPED_RESOLVE");
  assert.match(failure.message, /^cannot look up nobody\.invalid:80: /);
});

test("with -D a key file that is not there is said before a name is looked up", () => {
  const failure = startOf("spiped", ["-DF", ...without(spipedWords, "-t"), "-t", "nobody.invalid:80"]);
  assert.equal(failure.code, "SPIPED_KEY_FILE");
});

test("a user that nobody is is said before a name is looked up", () => {
  const words = ["-F", ...without(spipedWords, "-t"), "-t", "nobody.invalid:80", "-u", "no such user"];
  const failure = startOf("spiped", words);
  assert.deepEqual([failure.code, failure.message], ["SPIPED_USER", 'there is no user "no such user"']);
});

test("keygen writes a key and ends with status 0, once", async (t) => {
  const path = join(await temporaryFolder(t), "key");
  assert.equal(await spiped(["keygen", path]), 0);
  assert.equal(statSync(path).size, 32);
  assert.equal(statSync(path).mode & 0o7777, 0o600);
  const before = readFileSync(path);
  await rejectsSpipedError(spiped(["keygen", path]), "SPIPED_KEY_FILE", /it exists already/);
  assert.deepEqual(readFileSync(path), before);
});
