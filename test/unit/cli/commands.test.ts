// The commands as far as words can be wrong: every mistake is one error before anything is opened or listened on.

import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { main as spipe } from "#dist/cli/spipe.js";
import { main as spiped } from "#dist/cli/spiped.js";
import { temporaryFolder } from "../../support/cleanup.js";
import { rejectsSpipedError } from "../support/errors.js";

const address = "[127.0.0.1]:9";
const spipedWords = ["-e", "-s", address, "-t", address, "-k", "/nowhere/key"];
const spipeWords = ["-t", address, "-k", "/nowhere/key"];

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
  [[...spipedWords, "-F", "--foreground"], /more than once/],
  [[...spipedWords, "-n", "1", "-n", "1"], /more than once/],
  [[...spipedWords, "-n", "-1"], /bad number for -n: "-1"/],
  [[...spipedWords, "-n", "many"], /bad number for -n: "many"/],
  [[...spipedWords, "-n1000001"], /bad number for -n: "1000001"/],
  [[...spipedWords, "-o", "-1"], /bad number of seconds for -o: "-1"/],
  [[...spipedWords, "leftover"], /too many arguments|unknown command/],
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

test("a key file that is not there is said by both commands before they listen or dial", async () => {
  await rejectsSpipedError(spiped(spipedWords), "SPIPED_KEY_FILE", /there is no such file/);
  await rejectsSpipedError(spipe(spipeWords), "SPIPED_KEY_FILE", /there is no such file/);
});

test("a name that nobody has is said before the key file is read", async () => {
  const words = [...without(spipedWords, "-t"), "-t", "nobody.invalid:80"];
  await rejectsSpipedError(spiped(words), "SPIPED_RESOLVE", /^cannot look up nobody\.invalid:80: /);
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
