// A strict parser of PROXY headers, version 2, for tests only: anything invalid throws.

import assert from "node:assert/strict";

/** Reads exact numbers of bytes. */
type Read = (lengthBytes: number) => Promise<Uint8Array>;

/** The contents of a header. */
export interface ProxyHeader {
  readonly command: "LOCAL" | "PROXY";
  readonly family: "none" | "TCP4" | "TCP6";
  /** `address port` of each, the address in full; undefined without addresses. */
  readonly source: string | undefined;
  readonly destination: string | undefined;
  /** Values by their types. */
  readonly fields: ReadonlyMap<number, Buffer>;
}

/** Bytes before the length of the rest. */
const fixedBytes = 16;

/** Reads a header and nothing after it. */
export async function readProxyHeader(read: Read): Promise<ProxyHeader> {
  const fixed = Buffer.from(await read(fixedBytes));
  return parseProxyHeader(Buffer.concat([fixed, await read(fixed.readUInt16BE(14))]));
}

/** Parses exactly one header. */
export function parseProxyHeader(given: Uint8Array): ProxyHeader {
  const bytes = Buffer.from(given);
  assert.equal(bytes.subarray(0, 12).toString("hex"), "0d0a0d0a000d0a515549540a", "the signature");
  const command = { 32: "LOCAL", 33: "PROXY" }[bytes.readUInt8(12)];
  const family = { 0: "none", 17: "TCP4", 33: "TCP6" }[bytes.readUInt8(13)];
  assert.ok(command === "LOCAL" || command === "PROXY", "the command");
  assert.ok(family === "none" || family === "TCP4" || family === "TCP6", "the family");
  assert.equal(bytes.length, fixedBytes + bytes.readUInt16BE(14), "the length");
  assert.equal(command === "LOCAL", family === "none", "addresses come with PROXY, and with nothing else");
  const width = { none: 0, TCP4: 4, TCP6: 16 }[family];
  const fieldsFrom = fixedBytes + (width === 0 ? 0 : 2 * width + 4);
  assert.ok(bytes.length >= fieldsFrom, "room for the addresses");
  const end = (which: 0 | 1): string | undefined => {
    if (width === 0) return undefined;
    const address = bytes.subarray(fixedBytes + which * width, fixedBytes + (which + 1) * width);
    return `${written(address)} ${bytes.readUInt16BE(fixedBytes + 2 * width + 2 * which)}`;
  };
  return { command, family, source: end(0), destination: end(1), fields: fieldsOf(bytes.subarray(fieldsFrom)) };
}

function fieldsOf(bytes: Buffer): ReadonlyMap<number, Buffer> {
  const fields = new Map<number, Buffer>();
  for (let at = 0; at < bytes.length; ) {
    const [type, length] = [bytes.readUInt8(at), bytes.readUInt16BE(at + 1)];
    assert.ok(!fields.has(type), `field ${type} is there twice`);
    assert.ok(at + 3 + length <= bytes.length, `field ${type} is cut`);
    fields.set(type, bytes.subarray(at + 3, at + 3 + length));
    at += 3 + length;
  }
  return fields;
}

function written(address: Buffer): string {
  if (address.length === 4) return address.join(".");
  const groups = [0, 2, 4, 6, 8, 10, 12, 14].map((at) => address.readUInt16BE(at).toString(16));
  return groups.join(":");
}
