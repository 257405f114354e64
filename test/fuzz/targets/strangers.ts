// The first bytes of peers that do not speak spiped, and the PROXY header that tells a service its client's address.

import assert from "node:assert/strict";
import { isIP } from "node:net";
import { proxyHeader } from "#dist/net/proxy-header.js";
import { pathBytes } from "#dist/paths.js";
import { detectProtocol, protocolName } from "#dist/protocol/detect-protocol.js";
import { parseProxyHeader } from "../../support/proxy-header.js";
import { Choices, isClearLine, type Target } from "../target.js";

export const strangers: Target = {
  name: "strangers",
  mostBytes: 128 * 1_024,
  words: [
    ..."GET / HTTP/1.1|POST |HTTP/1.1 200 OK|SSH-2.0-x|PROXY TCP4 1.2.3.4 1.2.3.4 1 2|PROXY UNKNOWN|\r\n|\t| |x".split(
      "|",
    ),
    "\u0016\u0003\u0001\u0000\u0010\u0001\u0000\u0000\u0010",
    "\u0015\u0003\u0003\u0000\u0002\u0002\u0028",
    "\r\n\r\n\0\r\nQUIT\n",
    "words of more than thirty-two characters",
  ],
  run(input) {
    for (const isAll of [false, true]) {
      const found = detectProtocol(input, { isAll });
      if (found === undefined) continue;
      const { kind } = found;
      if (kind === "http" || kind === "ssh" || kind === "text") {
        assert.match(found.excerpt, /^[\x20-\x7e]{0,60}$/);
        const shown = found.excerpt.replace(/\.\.\.$/, "");
        assert.ok(Buffer.from(input).toString("latin1").replaceAll("\t", " ").includes(shown), "its own words");
      }
      isClearLine(protocolName(found));
      assert.match(protocolName(found), /^[\x20-\x7e]+$/);
    }
  },
};

export const proxyHeaders: Target = {
  name: "proxy-headers",
  words: ["\u0000\u0001", "\u00ff\u00ff", "client-7", "\x80", "é"],
  run(input) {
    const choices = new Choices(input);
    const [kind, isMapped] = [choices.of(["tcp4", "tcp6", "unix"] as const), choices.bool()];
    const [from, to] = [choices.below(65_536), choices.below(65_536)];
    const addresses = [0, 1].map(() => Array.from({ length: kind === "tcp4" ? 4 : 16 }, () => choices.byte()));
    const name = choices.bool() ? choices.text(255) || undefined : undefined;
    const written = addresses.map((bytes) => (kind === "tcp4" ? bytes.join(".") : ipv6Text(bytes)));
    const [remote = "", local = ""] = kind === "tcp4" && isMapped ? written.map((one) => `::ffff:${one}`) : written;
    for (const address of [remote, local]) assert.notEqual(isIP(address), 0, address);
    const header = parseProxyHeader(
      proxyHeader(
        kind === "unix"
          ? { kind }
          : { kind: "tcp", remote: { address: remote, port: from }, local: { address: local, port: to } },
        name,
      ),
    );
    const field = header.fields.get(0xe0);
    assert.deepEqual(field, name === undefined ? undefined : pathBytes(name));
    if (kind === "unix") {
      assert.deepEqual([header.command, header.family, header.source], ["LOCAL", "none", undefined]);
      return;
    }
    const isV4 = kind === "tcp4" || addresses.every((bytes) => Buffer.from(bytes).toString("hex", 0, 12) === MAPPED);
    assert.equal(header.family, isV4 ? "TCP4" : "TCP6");
    const expected = addresses.map((bytes) => {
      const shown = isV4 ? bytes.slice(-4) : bytes;
      return shown.length === 4 ? shown.join(".") : groupsOf(shown).join(":");
    });
    assert.deepEqual([header.source, header.destination], [`${expected[0]} ${from}`, `${expected[1]} ${to}`]);
  },
};

const MAPPED = "00000000000000000000ffff";

function groupsOf(bytes: readonly number[]): readonly string[] {
  return [0, 2, 4, 6, 8, 10, 12, 14].map((at) => (((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)).toString(16));
}

/** As the system writes it, with `::` and, where it applies, an IPv4 tail. */
function ipv6Text(bytes: readonly number[]): string {
  return new URL(`http://[${groupsOf(bytes).join(":")}]/`).hostname.slice(1, -1);
}
