// A configuration of one or several files, and the tunnels it gives: the same as the same arguments on a command line.

import assert from "node:assert/strict";
import type { TunnelConfig } from "#dist/config/tunnel-config.js";
import { changesBetween, nameOf } from "#dist/flags/config-changes.js";
import { checkTexts } from "#dist/flags/config-file.js";
import { textOf as mistakeText } from "#dist/flags/mistakes.js";
import { formatAddress } from "#dist/net/address.js";
import { isClearLine, isUnpolluted, type Target } from "../target.js";
import { tunnelOfArguments } from "./words.js";

export const toml: Target = {
  name: "toml",
  mostBytes: 128 * 1_024,
  words: [
    ...'[encrypt.a]|[decrypt.b]|[defaults]|[[|]]|source = |target = |key = "k"|timeout = |max-connections = |keep-alive = '.split(
      "|",
    ),
    ..."require-forward-secrecy = true|without-forward-secrecy = true|resolve-once = true|resolve-interval = 5".split(
      "|",
    ),
    ...'proxy-protocol = true|source-mode = "0660"|bind = "127.0.0.1"|threads = 2|log-format = "json"|status = "1"'.split(
      "|",
    ),
    ...'"/s"|"/t"|"[::1]:1"|"systemd:x"|true|false|0|1e3|nan|inf|-1|0x10|1979-05-27|"""|\'\'\'|#|.|=|{|}|,|\0|\n'.split(
      "|",
    ),
    ..."__proto__|constructor|prototype|toString|hasOwnProperty|\\u0000|\\n|ü".split("|"),
    "[".repeat(2_000),
    "a.".repeat(2_000),
    '[encrypt.a]\nsource = "/s"\ntarget = "/t"\nkey = "k"\n',
  ],
  run(input) {
    // A zero byte ends a file; several files make a folder.
    const texts = Buffer.from(input)
      .toString("utf8")
      .split("\0")
      .map((text, at) => ({ path: `/etc/${at}.toml`, text }));
    const checked = checkTexts("/etc", { texts, mistakes: [] });
    isUnpolluted();
    if (checked.kind === "wrong") {
      assert.ok(checked.mistakes.length <= 21 && checked.count >= checked.mistakes.length - 1);
      for (const mistake of checked.mistakes) {
        isClearLine(mistakeText(mistake));
        const lines = texts.find(({ path }) => path === mistake.file)?.text.split("\n").length;
        assert.ok(mistake.file === "/etc" || lines !== undefined, mistake.file);
        if (mistake.line !== undefined) assert.ok(mistake.line >= 1 && mistake.line <= (lines ?? 0), "its line");
      }
      return;
    }
    const { config } = checked;
    assert.ok(config.tunnels.length > 0);
    assert.equal(new Set(config.tunnels.map(nameOf)).size, config.tunnels.length, "names are unique");
    for (const tunnel of config.tunnels) {
      assert.match(nameOf(tunnel), /^[A-Za-z0-9._-]{1,64}$/);
      assert.deepEqual(tunnelOfArguments(nameOf(tunnel), argsOf(tunnel.config, tunnel.keyFile)), tunnel);
    }
    const { unchanged, ending, starting, needRestart } = changesBetween(config, config);
    assert.deepEqual([unchanged, ending, starting, needRestart], [config.tunnels.map(nameOf), [], [], []]);
  },
};

/** The arguments of a command line that say the same. */
function argsOf(config: TunnelConfig, keyFile: string): readonly string[] {
  const args = [`--${config.role}`, `--source=${formatAddress(config.source)}`];
  args.push(`--target=${formatAddress(config.target)}`, `--key=${keyFile}`);
  if (config.bind !== undefined) args.push(`--bind=${formatAddress(config.bind)}`);
  if (config.sourceMode !== undefined) args.push(`--source-mode=${config.sourceMode.toString(8)}`);
  if (config.forwardSecrecy === "off") args.push("-f");
  if (config.forwardSecrecy === "require") args.push("-g");
  if (!config.keepAlive) args.push("-j");
  if (config.proxyProtocol) args.push("--proxy-protocol");
  args.push(`--timeout=${config.timeoutMs / 1_000}`);
  args.push(Number.isFinite(config.resolveIntervalMs) ? `-r${config.resolveIntervalMs / 1_000}` : "-R");
  args.push(`-n${Number.isFinite(config.maxConnections) ? config.maxConnections : 0}`);
  return args;
}
