// Addresses, in all five uses, against an independent reading of docs/lifecycle.md.

import assert from "node:assert/strict";
import {
  type Address,
  formatAddress,
  parseAddress,
  parseBindAddress,
  parseLocalAddress,
  parseSourceAddress,
  parseTargetAddress,
} from "#dist/net/address.js";
import { pathBytes } from "#dist/paths.js";
import { outcomeOf, spipedError, type Target, textOf } from "../target.js";

export const addresses: Target = {
  name: "addresses",
  mostBytes: 128 * 1_024,
  words: [
    ..."[ ] : :: . % / @ \0 \n 0 65535 65536 127.0.0.1 [::1]:80 /run/x.sock host:80 systemd: ::ffff:1.2.3.4".split(" "),
    "fe80::1%eth0",
    "1:2:3:4:5:6:7:8",
    " ",
    "\u00a0",
    "\u2028",
    "ü",
    "p".repeat(107),
  ],
  run(input) {
    const text = textOf(input);
    assert.deepEqual(pathBytes(text), Buffer.from(input), "bytes → text → bytes");
    for (const [use, parse] of Object.entries(parsers)) {
      const outcome = outcomeOf(() => parse(text));
      const right = isAddressFor(use as keyof typeof parsers, text);
      if ("error" in outcome) {
        assert.ok(!right, `${use} refuses ${JSON.stringify(text)}: ${outcome.error.message}`);
        spipedError(outcome.error, "SPIPED_ADDRESS");
        assert.ok(outcome.error.message.includes(JSON.stringify(text)) || use === "bind" || use === "local");
        assert.ok(outcome.error.hint?.startsWith("write "));
      } else {
        assert.ok(right, `${use} accepts ${JSON.stringify(text)}`);
        const written = formatAddress(outcome.value);
        assert.deepEqual(parse(written), outcome.value, "parse → format → parse");
        assert.ok(Object.isFrozen(outcome.value));
        if (outcome.value.kind === "unix") assert.equal(written, text);
      }
    }
  },
};

const parsers = {
  any: parseAddress,
  source: parseSourceAddress,
  target: parseTargetAddress,
  local: parseLocalAddress,
  bind: parseBindAddress,
} satisfies Readonly<Record<string, (text: string) => Address | ReturnType<typeof parseSourceAddress>>>;

/** Whether a text is an address for some use: written from the documentation, not from the parser. */
export function isAddressFor(use: keyof typeof parsers, text: string): boolean {
  const managed = text.startsWith("systemd:");
  switch (use) {
    case "any":
      return isAddress(text);
    case "source": {
      const name = text.slice("systemd:".length);
      if (!managed) return isAddress(text);
      return name.length <= 255 && [...name].every((one) => one >= " " && one <= "~" && one !== ":");
    }
    case "target":
      return isAddress(text) && (text.startsWith("/") || !/:0+$/.test(text));
    case "local":
      return !managed && (isAddress(text) || (isDigits(text) && isService(text)));
    case "bind":
      if (text.startsWith("/")) return false;
      if (text.startsWith("[")) return isAddress(text) || isAddress(`${text}:0`);
      return text.includes(":") ? isAddress(text) && text.split(":").length === 2 : isAddress(`${text}:0`);
  }
}

function isAddress(text: string): boolean {
  if (text.startsWith("/")) return !text.includes("\0") && pathBytes(text).length <= 107;
  const parts = text.split(":");
  const service = parts.pop() ?? "";
  const host = parts.join(":");
  if (parts.length === 0 || !isService(service)) return false;
  if (host.startsWith("[")) return host.endsWith("]") && isIp(host.slice(1, -1));
  if (host.includes(":")) return isIp(host);
  const unfit = /[\p{White_Space}\ufeff\p{Cc}\p{Cs}[\]/]/u;
  return host !== "" && !unfit.test(host);
}

function isService(text: string): boolean {
  if (isDigits(text)) return text.length <= 5 && Number.parseInt(text, 10) < 2 ** 16;
  const letters = "abcdefghijklmnopqrstuvwxyz0123456789";
  return (
    [...text.toLowerCase()].every((one, at) => (letters + (at > 0 ? "+._-" : "")).includes(one)) &&
    text !== "" &&
    text.length === Buffer.byteLength(text)
  );
}

function isDigits(text: string): boolean {
  return text !== "" && [...text].every((one) => "0123456789".includes(one));
}

/** An IP address, as the URL standard reads it, optionally with a scope. */
function isIp(text: string): boolean {
  const bytes = text.split(".");
  if (bytes.length === 4 && !text.includes(":")) {
    return bytes.every((one) => isDigits(one) && String(Number(one)) === one && Number(one) < 256);
  }
  const [address = "", scope, ...more] = text.split("%");
  if (more.length > 0 || (scope !== undefined && !/^[0-9A-Za-z.:-]+$/.test(scope))) return false;
  if (!/^[0-9A-Fa-f:.]+$/.test(address)) return false;
  return URL.canParse(`http://[${address}]/`);
}
