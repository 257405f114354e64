// Paths that are not UTF-8, from the command line and from environment variables: used byte for byte, in the daemon
// too.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { limits, temporaryFolder } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { onLinux, startDetached, stopDaemon } from "../support/daemon.js";
import { ours } from "../support/programs.js";
import { asRoot } from "../support/root.js";
import { newKey, patience } from "../support/tunnel.js";

const options = { ...limits, skip: onLinux };

/** Runs an sh script in which `$b` is two bytes that are not UTF-8, and `"$@"` the command. */
function script(text: string, args: readonly string[]): readonly [string, ...string[]] {
  return ["sh", "-c", `b=$(printf '\\351\\377'); ${text}`, "sh", ...args];
}

/** The names in a folder, decoded as Latin-1. */
function namesIn(folder: string): readonly string[] {
  return readdirSync(folder, "latin1").sort();
}

async function folderWithKey(t: TestContext): Promise<string> {
  const folder = await temporaryFolder(t);
  const key = await newKey(t);
  const copied = await Command.run(t, script('cp "$1" "$2/$b.key"', [key.path, folder]));
  assert.equal(copied.status, 0, copied.stderr);
  return folder;
}

for (const [how, start] of [
  ["words", '"$@" -d -s "$PWD/$b.s" -t "$PWD/$b.t" -k "$b.key" -p "$b.pid"'],
  [
    "variables",
    'SPIPED_SOURCE="$PWD/$b.s" SPIPED_TARGET="$PWD/$b.t" SPIPED_KEY="$b.key" SPIPED_PID_FILE="$b.pid" "$@" -d',
  ],
] as const) {
  test(`key file, SOURCE, TARGET and pid file may be any bytes, as ${how}`, options, async (t) => {
    const cwd = await folderWithKey(t);
    const daemon = startDetached(t, script(start, [...ours.spiped, ...patience]), { stdin: "ignore", cwd });
    assert.equal((await daemon.ownExit()).status, 0, daemon.stderr);
    assert.deepEqual(namesIn(cwd), ["éÿ.key", "éÿ.pid", "éÿ.s"]);
    await daemon.line(/listening on \/.*\/\\xe9\\xff\.s, decrypting to \/.*\/\\xe9\\xff\.t$/);

    const target = Command.start(t, script('exec python3 -c "$@"', [echoUpper, cwd]), { stdin: "ignore" });
    await target.line(/^listening$/);
    const spipe = Command.start(t, script('exec "$@" -t "$PWD/$b.s" -k "$b.key"', [...ours.spipe, ...patience]), {
      cwd,
    });
    spipe.stdin.end("hello");
    assert.equal((await spipe.exit()).status, 0, `${spipe.stderr}\n${daemon.stderr}`);
    assert.equal(spipe.stdout.toString(), "HELLO");

    const pidFile = Buffer.from(`${cwd}/éÿ.pid`, "latin1");
    await stopDaemon({ id: Number(readFileSync(pidFile, "latin1")) });
    assert.deepEqual(namesIn(cwd), ["éÿ.key", "éÿ.t"]);
  });
}

/** A server on a socket named with the two bytes in its folder argument: it echoes in capitals. */
const echoUpper = `
import os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(os.fsencode(sys.argv[1]) + b"/\\xe9\\xff.t")
server.listen()
print("listening", file=sys.stderr, flush=True)
peer, _ = server.accept()
while data := peer.recv(65536):
    peer.sendall(data.upper())
peer.close()
`;

test("keygen writes to a path of any bytes, and its message prints them", options, async (t) => {
  const cwd = await temporaryFolder(t);
  assert.equal((await Command.run(t, script('"$@" "$b.new"', [...ours.spiped, "keygen"]), { cwd })).status, 0);
  assert.deepEqual(namesIn(cwd), ["éÿ.new"]);
  const again = await Command.run(t, script('"$@" "$b.new"', [...ours.spiped, "keygen"]), { cwd });
  assert.equal(again.status, 1);
  assert.match(again.stderr, /^spiped: cannot write key file \\xe9\\xff\.new: it exists already$/m);
});

test("a path that contains U+FFFD is used as written", limits, async (t) => {
  const cwd = await temporaryFolder(t);
  const key = await newKey(t);
  await writeFile(join(cwd, "\ufffd.key"), key.bytes, { mode: 0o600 });
  const args = ["-F", "-d", "-s", join(cwd, "s"), "-t", "/nowhere", "-k", "\ufffd.key"];
  const command = Command.start(t, [...ours.spiped, ...args], { stdin: "ignore", cwd });
  await command.line(/listening on/);
});

asRoot(["unshare", "mount"], () => {
  test("if the original bytes are not available, a message says that paths must be UTF-8", limits, async (t) => {
    const cwd = await temporaryFolder(t);
    const without = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh"];
    const args = [...without, ...ours.spiped, "keygen"];
    const { status, stderr } = await Command.run(t, script('"$@" "$b.new"', args), { cwd });
    assert.equal(status, 1);
    assert.match(
      stderr,
      /^spiped: ".*\.new" is not UTF-8: .*\nspiped: hint: paths that are not UTF-8 need Linux with \/proc mounted; .*\n$/,
    );
    assert.deepEqual(namesIn(cwd), []);
  });
});
