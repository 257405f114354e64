// Reads test/vectors; unknown fields are errors.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { bytesOfHex, Fields } from "./fields.js";
import { root } from "./paths.js";

/** One key file and the keys derived from it; both sides without forward secrecy if `ySC` is 1. */
export interface KdfVector {
  readonly name: string;
  /** What the vector shows. */
  readonly scenario: string;
  readonly keyFile: Uint8Array;
  readonly secret: Uint8Array;
  /** Identifies the key; never on the wire. */
  readonly keyId: Uint8Array;
  readonly nonceC: Uint8Array;
  readonly nonceS: Uint8Array;
  readonly dhMacKeyC: Uint8Array;
  readonly dhMacKeyS: Uint8Array;
  readonly ySC: Uint8Array;
  readonly E_C: Uint8Array;
  readonly H_C: Uint8Array;
  readonly E_S: Uint8Array;
  readonly H_S: Uint8Array;
}

/** An exponentiation and its result. */
export interface SharedValueVector {
  readonly kind: "shared value";
  readonly name: string;
  /** What the vector shows. */
  readonly scenario: string;
  readonly x: Uint8Array;
  readonly y: Uint8Array;
  readonly peerY: Uint8Array;
  readonly ySC: Uint8Array;
  readonly expect: "success";
}

/** What a client receives from a server, and the expected result. */
export interface PeerPublicVector {
  readonly kind: "peer's public value";
  readonly name: string;
  /** What the vector shows. */
  readonly scenario: string;
  readonly dhMacKeyS: Uint8Array;
  readonly peerY: Uint8Array;
  readonly peerMac: Uint8Array;
  readonly expect: "dh out of range" | "bad mac" | "success unless forward secrecy is required";
}

export type DhVector = SharedValueVector | PeerPublicVector;

/** One packet; `cleartext` only if it opens. */
export interface PacketVector {
  readonly name: string;
  /** What the vector shows. */
  readonly scenario: string;
  readonly E: Uint8Array;
  readonly H: Uint8Array;
  readonly number: bigint;
  readonly cleartext: Uint8Array | undefined;
  readonly packet: Uint8Array;
  readonly expect: "success" | "bad mac" | "bad length";
}

/** Everything that one side sent in a recorded connection. */
export interface RecordedSide {
  readonly nonce: Uint8Array;
  readonly dh: Uint8Array;
  readonly packets: readonly Uint8Array[];
}

/** A recorded connection. */
export interface TranscriptVector {
  readonly name: string;
  /** What the vector shows. */
  readonly scenario: string;
  readonly keyFile: Uint8Array;
  /** The exponent of the side that `xIs` names. */
  readonly x: Uint8Array;
  readonly xIs: "client" | "server";
  readonly client: RecordedSide;
  readonly server: RecordedSide;
  readonly ySC: Uint8Array;
  readonly cleartextBothWays: Uint8Array;
}

export function parseKdfVector(value: unknown): KdfVector {
  const fields = new Fields("kdf.json", value);
  const vector: KdfVector = {
    name: fields.text("name"),
    scenario: fields.text("scenario"),
    keyFile: fields.bytes("keyFile"),
    secret: fields.bytes("secret", 32),
    keyId: fields.bytes("keyId", 8),
    nonceC: fields.bytes("nonceC", 32),
    nonceS: fields.bytes("nonceS", 32),
    dhMacKeyC: fields.bytes("dhMacKeyC", 32),
    dhMacKeyS: fields.bytes("dhMacKeyS", 32),
    ySC: fields.bytes("ySC", 256),
    E_C: fields.bytes("E_C", 32),
    H_C: fields.bytes("H_C", 32),
    E_S: fields.bytes("E_S", 32),
    H_S: fields.bytes("H_S", 32),
  };
  fields.done();
  return vector;
}

export function parseDhVector(value: unknown): DhVector {
  const fields = new Fields("dh.json", value);
  const name = fields.text("name");
  const scenario = fields.text("scenario");
  const peerY = fields.bytes("peerY", 256);
  let vector: DhVector;
  if (fields.has("x")) {
    vector = {
      kind: "shared value",
      name,
      scenario,
      peerY,
      x: fields.bytes("x", 32),
      y: fields.bytes("y", 256),
      ySC: fields.bytes("ySC", 256),
      expect: fields.oneOf("expect", ["success"]),
    };
  } else {
    vector = {
      kind: "peer's public value",
      name,
      scenario,
      peerY,
      dhMacKeyS: fields.bytes("dhMacKeyS", 32),
      peerMac: fields.bytes("peerMac", 32),
      expect: fields.oneOf("expect", ["dh out of range", "bad mac", "success unless forward secrecy is required"]),
    };
  }
  fields.done();
  return vector;
}

export function parsePacketVector(value: unknown): PacketVector {
  const fields = new Fields("packet.json", value);
  const expect = fields.oneOf("expect", ["success", "bad mac", "bad length"]);
  const vector: PacketVector = {
    name: fields.text("name"),
    scenario: fields.text("scenario"),
    E: fields.bytes("E", 32),
    H: fields.bytes("H", 32),
    number: BigInt(fields.text("number")),
    cleartext: expect === "success" ? fields.bytes("cleartext") : undefined,
    packet: fields.bytes("packet", 1_060),
    expect,
  };
  fields.done();
  return vector;
}

export function parseTranscriptVector(value: unknown): TranscriptVector {
  const fields = new Fields("transcript.json", value);
  const vector: TranscriptVector = {
    name: fields.text("name"),
    scenario: fields.text("scenario"),
    keyFile: fields.bytes("keyFile"),
    x: fields.bytes("x", 32),
    xIs: fields.oneOf("xIs", ["the client's", "the server's"]) === "the client's" ? "client" : "server",
    client: recordedSide(fields.child("clientSends")),
    server: recordedSide(fields.child("serverSends")),
    ySC: fields.bytes("ySC", 256),
    cleartextBothWays: fields.bytes("cleartextBothWays"),
  };
  fields.done();
  return vector;
}

function recordedSide(fields: Fields): RecordedSide {
  const side: RecordedSide = {
    nonce: fields.bytes("nonce", 32),
    dh: fields.bytes("dh", 288),
    packets: fields.list("packets").map((packet) => bytesOfHex(packet, "packets", 1_060)),
  };
  fields.done();
  return side;
}

export const kdfVectors: readonly KdfVector[] = read("kdf.json", parseKdfVector);
export const dhVectors: readonly DhVector[] = read("dh.json", parseDhVector);
export const packetVectors: readonly PacketVector[] = read("packet.json", parsePacketVector);
export const transcriptVectors: readonly TranscriptVector[] = read("transcript.json", parseTranscriptVector);

/** The raw vectors of a file, for tests of the parsers above. */
export function rawVectors(file: string): readonly unknown[] {
  const fields = new Fields(file, JSON.parse(readFileSync(join(root, "test/vectors", file), "utf8")));
  fields.text("source");
  const list = fields.list("vectors");
  fields.done();
  return list;
}

function read<Vector>(file: string, parse: (value: unknown) => Vector): readonly Vector[] {
  const vectors = rawVectors(file).map(parse);
  if (vectors.length === 0) throw new Error(`${file} holds no vectors`);
  return vectors;
}
