/**
 * Detects the protocol of a peer that is not spiped, from the first bytes it sends. Used for messages only; nothing on the
 * wire depends on it.
 *
 * A spiped peer sends at least 32 random bytes. They are mistaken for one of these protocols less than once in 2^40
 * connections.
 */

/** The protocol of a peer that is not spiped. */
export type DetectedProtocol =
  /** With its first line, truncated. The line is printable ASCII, but otherwise untrusted. */
  | { readonly kind: "http" | "ssh" | "text"; readonly excerpt: string }
  | { readonly kind: "tls" }
  /** A load balancer announces its client, whose data follows. */
  | { readonly kind: "proxy-header" };

/** The longest excerpt. */
const EXCERPT_LENGTH = 60;

/** This many text characters cannot be a coincidence. */
const ENOUGH_TEXT = 32;

const HTTP = /^(HTTP\/\d|(GET|HEAD|POST|PUT|DELETE|CONNECT|OPTIONS|TRACE|PATCH|PRI) \S+( HTTP\/\d|$))/;

const PROXY_V2 = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");

/** TLS record types: an alert, and the first record of both sides. */
const TLS_ALERT = 21;
const TLS_HANDSHAKE = 22;

/**
 * Detects the protocol that these bytes belong to.
 *
 * @param bytes - The beginning of the stream, as far as it is known.
 * @param isAll - Whether the peer has sent nothing more for a while. Less text is enough then, since spiped sends 32 bytes
 *   at once.
 * @returns Undefined if it may be spiped, or is not recognized.
 */
export function detectProtocol(bytes: Uint8Array, { isAll = false } = {}): DetectedProtocol | undefined {
  if (isTls(bytes)) return { kind: "tls" };
  if (startsWith(bytes, PROXY_V2)) return { kind: "proxy-header" };
  const excerpt = firstLineOf(bytes);
  if (/^PROXY (TCP4|TCP6|UNKNOWN)/.test(excerpt)) return { kind: "proxy-header" };
  if (/^SSH-\d/.test(excerpt)) return { kind: "ssh", excerpt };
  if (HTTP.test(excerpt)) return { kind: "http", excerpt };
  const length = textLengthOf(bytes);
  const isText = length >= ENOUGH_TEXT || (isAll && length > 0 && length === bytes.length);
  return isText ? { kind: "text", excerpt } : undefined;
}

/** The name of a protocol, to follow "it speaks". */
export function protocolName(detected: DetectedProtocol): string {
  switch (detected.kind) {
    case "http":
      return `HTTP (${JSON.stringify(detected.excerpt)})`;
    case "ssh":
      return `SSH (${JSON.stringify(detected.excerpt)})`;
    case "text":
      return `text (${JSON.stringify(detected.excerpt)})`;
    case "tls":
      return "TLS";
    case "proxy-header":
      return "the PROXY protocol of load balancers";
  }
}

function isTls(bytes: Uint8Array): boolean {
  const [type, major, minor, high = 0, low = 0, first] = bytes;
  if (major !== 3 || minor === undefined || minor > 4 || first === undefined) return false;
  const length = high * 256 + low;
  // An alert is a level and a code. A handshake starts with a client or server hello and a length of three bytes.
  if (type === TLS_ALERT) return length === 2 && (first === 1 || first === 2);
  return type === TLS_HANDSHAKE && length <= 16_384 && (first === 1 || first === 2) && bytes[6] === 0;
}

function startsWith(bytes: Uint8Array, start: Uint8Array): boolean {
  return bytes.length >= start.length && start.every((byte, index) => bytes[index] === byte);
}

/** The number of text bytes at the beginning. */
function textLengthOf(bytes: Uint8Array): number {
  const end = bytes.findIndex((byte) => !isText(byte));
  return end === -1 ? bytes.length : end;
}

function firstLineOf(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.subarray(0, textLengthOf(bytes))).toString("latin1");
  const [line = ""] = text.trimStart().split(/[\r\n]/, 1);
  const shown = line.replaceAll("\t", " ").trimEnd();
  return shown.length > EXCERPT_LENGTH ? `${shown.slice(0, EXCERPT_LENGTH - 3)}...` : shown;
}

/** Printable ASCII, spaces, tabs and line breaks. */
function isText(byte: number): boolean {
  return (byte >= 0x20 && byte < 0x7f) || byte === 0x09 || byte === 0x0a || byte === 0x0d;
}
