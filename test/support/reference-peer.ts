// A peer that speaks the wire protocol step by step, so that a test can do each step wrong or leave it out.

import { randomBytes } from "node:crypto";
import {
  checkPublicValue,
  dhMacKeysOf,
  macedPublicValueBytes,
  macPublicValue,
  nonceBytes,
  numberOf,
  openPacket,
  type PacketKeys,
  packetBytes,
  packetDataBytes,
  packetKeysOf,
  publicValueOf,
  type Role,
  sealPacket,
  secretOf,
  sharedValueOf,
} from "./reference-protocol.js";
import { EndedEarly, type SocketEnd, type TestSocket } from "./test-socket.js";

export interface PeerOptions {
  /** The contents of the key file. */
  readonly keyFile: Uint8Array;
  /** The secret exponent; 0 turns off forward secrecy. Default random. */
  readonly x?: bigint;
  /** This side's nonce. Default random. */
  readonly nonce?: Uint8Array;
  /** Each write has at most this many bytes; default unlimited. */
  readonly pieceBytes?: number;
}

/** Faults of a public value. */
export interface PublicValueFault {
  /** Sent instead of g^x, with a valid MAC. */
  readonly y?: bigint;
  /** One bit of the MAC is flipped. */
  readonly macIsWrong?: boolean;
}

/** Faults of a packet. */
export interface PacketFault {
  /** The value of the length field, with a valid MAC. */
  readonly statedLength?: number;
  /** Sealed with this number; the packet counter is not affected. */
  readonly packetNumber?: bigint;
  /** The bit of the sealed packet that is flipped. */
  readonly flippedBit?: number;
}

/** The secrets that the two sides of a connection share. */
export interface ConnectionSecrets {
  readonly ySC: bigint;
  readonly packetKeys: Record<Role, PacketKeys>;
}

/** One side of a connection. Steps may be called in any sensible order; `handshake` uses the usual one. */
export class ReferencePeer {
  readonly link: TestSocket;
  readonly role: Role;
  readonly #peerRole: Role;
  readonly #secret: Uint8Array;
  readonly #x: bigint;
  readonly #nonce: Uint8Array;
  readonly #pieceBytes: number;
  #peerNonce: Uint8Array | undefined;
  #peerY: bigint | undefined;
  #ySC: bigint | undefined;
  #packetKeys: Record<Role, PacketKeys> | undefined;
  #sealedCount = 0n;
  #openedCount = 0n;
  #opened: Uint8Array = new Uint8Array(0);

  private constructor(link: TestSocket, role: Role, options: PeerOptions) {
    this.link = link;
    this.role = role;
    this.#peerRole = role === "client" ? "server" : "client";
    this.#secret = secretOf(options.keyFile);
    this.#x = options.x ?? numberOf(randomBytes(32));
    this.#nonce = options.nonce ?? randomBytes(nonceBytes);
    this.#pieceBytes = options.pieceBytes ?? Number.POSITIVE_INFINITY;
  }

  static client(link: TestSocket, options: PeerOptions): ReferencePeer {
    return new ReferencePeer(link, "client", options);
  }

  static server(link: TestSocket, options: PeerOptions): ReferencePeer {
    return new ReferencePeer(link, "server", options);
  }

  /** Writes raw bytes, in pieces if so configured. @returns Whether the system accepted them. */
  write(bytes: Uint8Array): Promise<boolean> {
    if (bytes.length <= this.#pieceBytes) return this.link.write(bytes);
    return this.link.writeInPieces(bytes, this.#pieceBytes);
  }

  sendNonce(): Promise<boolean> {
    return this.write(this.#nonce);
  }

  async readNonce(): Promise<void> {
    this.#peerNonce = await this.link.read(nonceBytes);
  }

  /** y ‖ h of this side, right or wrong. Needs the peer's nonce. */
  macedPublicValue(fault: PublicValueFault = {}): Uint8Array {
    const maced = macPublicValue(this.dhMacKeys[this.role], fault.y ?? publicValueOf(this.#x));
    return fault.macIsWrong === true ? flipBit(maced, 8 * maced.length - 1) : maced;
  }

  /** Reads and checks y ‖ h of the other side, and derives the packet keys. @returns The other side's y. */
  async readPublicValue(): Promise<bigint> {
    const peerY = checkPublicValue(this.dhMacKeys[this.#peerRole], await this.link.read(macedPublicValueBytes));
    this.#peerY = peerY;
    this.assumeSharedValue(sharedValueOf(peerY, this.#x));
    return peerY;
  }

  /** Derives the packet keys from this y_SC, for connections on which this side sent a y with an unknown exponent. */
  assumeSharedValue(ySC: bigint): void {
    const [nonceC, nonceS] = this.#nonces();
    this.#ySC = ySC;
    this.#packetKeys = packetKeysOf(this.#secret, nonceC, nonceS, ySC);
  }

  /** Performs the whole handshake. @param fault - Fault of this side's public value. */
  async handshake(fault: PublicValueFault = {}): Promise<void> {
    await this.sendNonce();
    await this.readNonce();
    if (this.role === "client") {
      await this.write(this.macedPublicValue(fault));
      await this.readPublicValue();
    } else {
      await this.readPublicValue();
      await this.write(this.macedPublicValue(fault));
    }
  }

  /** The keys that MAC the public values. Needs the peer's nonce. */
  get dhMacKeys(): Record<Role, Uint8Array> {
    return dhMacKeysOf(this.#secret, ...this.#nonces());
  }

  /** The other side's y, once it has been read. */
  get peerY(): bigint {
    if (this.#peerY === undefined) throw new Error("the test has not read the other public value yet");
    return this.#peerY;
  }

  /** The secrets of a connection whose handshake is over. */
  get secrets(): ConnectionSecrets {
    if (this.#ySC === undefined || this.#packetKeys === undefined) throw new Error("the handshake is not over yet");
    return { ySC: this.#ySC, packetKeys: this.#packetKeys };
  }

  /** The next packet of this side, right or wrong. @param data - At most 1,024 bytes. */
  seal(data: Uint8Array, fault: PacketFault = {}): Uint8Array {
    const number = fault.packetNumber ?? this.#sealedCount;
    const packet = sealPacket(this.#keys(this.role), number, data, fault.statedLength);
    this.#sealedCount += 1n;
    return fault.flippedBit === undefined ? packet : flipBit(packet, fault.flippedBit);
  }

  /** Seals data of any length in full packets. */
  sealAll(data: Uint8Array): Uint8Array {
    const packets: Uint8Array[] = [];
    for (let at = 0; at < data.length; at += packetDataBytes) {
      packets.push(this.seal(data.subarray(at, at + packetDataBytes)));
    }
    return Buffer.concat(packets);
  }

  /** Seals and sends data of any length. */
  send(data: Uint8Array): Promise<boolean> {
    return this.write(this.sealAll(data));
  }

  /** Opens exactly `lengthBytes` bytes from the other side. */
  async receive(lengthBytes: number): Promise<Uint8Array> {
    while (this.#opened.length < lengthBytes) this.#open(await this.link.read(packetBytes));
    const received = this.#opened.subarray(0, lengthBytes);
    this.#opened = this.#opened.subarray(lengthBytes);
    return received;
  }

  /**
   * The text in the other side's first packet, which also tells which y_SC the other side has.
   *
   * @param candidates - The y_SC that it may have, where this side sent a y whose exponent it does not know.
   */
  async receiveUnderOneOf(candidates: readonly bigint[], lengthBytes: number): Promise<string> {
    const packet = await this.link.read(packetBytes);
    for (const ySC of candidates) {
      this.assumeSharedValue(ySC);
      try {
        this.#open(packet);
      } catch {
        continue;
      }
      return Buffer.from(await this.receive(lengthBytes)).toString();
    }
    throw new Error("the packet belongs to none of the shared values");
  }

  /** Opens everything until the end of the stream. Also returns how it ended. */
  async receiveToEnd(): Promise<{ bytes: Uint8Array; end: SocketEnd }> {
    for (;;) {
      try {
        this.#open(await this.link.read(packetBytes));
      } catch (error) {
        if (!(error instanceof EndedEarly)) throw error;
        if (error.end === "fin" && error.received.length > 0) throw new Error("the stream ended inside a packet");
        return { bytes: this.#opened, end: error.end };
      }
    }
  }

  #open(packet: Uint8Array): void {
    const data = openPacket(this.#keys(this.#peerRole), this.#openedCount, packet);
    this.#openedCount += 1n;
    this.#opened = Buffer.concat([this.#opened, data]);
  }

  #nonces(): [nonceC: Uint8Array, nonceS: Uint8Array] {
    if (this.#peerNonce === undefined) throw new Error("the test has not read the other nonce yet");
    return this.role === "client" ? [this.#nonce, this.#peerNonce] : [this.#peerNonce, this.#nonce];
  }

  #keys(role: Role): PacketKeys {
    if (this.#packetKeys === undefined) throw new Error("the test has not derived the packet keys yet");
    return this.#packetKeys[role];
  }
}

/** A copy with one bit flipped; bit 0 is the lowest of the first byte. */
export function flipBit(bytes: Uint8Array, bit: number): Uint8Array {
  const flipped = Uint8Array.from(bytes);
  const at = Math.floor(bit / 8);
  flipped[at] = (flipped[at] ?? 0) ^ (1 << (bit % 8));
  return flipped;
}
