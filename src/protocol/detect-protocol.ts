/**
 * What a peer that is not spiped speaks, by the first bytes that it has sent. For people only: nothing that goes over
 * the wire depends on it.
 *
 * A spiped peer sends random bytes, and 32 of them at the least. That they look like one of these is so unlikely that
 * what is said here can be believed (less than once in 2^40 connections).
 */

/** What is known of a peer that is not spiped. */
export type DetectedProtocol =
  /** Its first line, cut short; ASCII without control characters, and still a stranger's words. */
  | { readonly kind: "http" | "ssh" | "text"; readonly excerpt: string }
  | { readonly kind: "tls" }
  /** A load balancer says who its client is; what the client sends comes behind it. */
  | { readonly kind: "proxy-header" };

/** The longest excerpt. */
const EXCERPT_LENGTH = 60;

/** So many characters of text are no accident, where nothing else says what it is. */
const ENOUGH_TEXT = 32;

const HTTP = /^(HTTP\/\d|(GET|HEAD|POST|PUT|DELETE|CONNECT|OPTIONS|TRACE|PATCH|PRI) \S+( HTTP\/\d|$))/;

const PROXY_V2 = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");

/** TLS records: an alert, and what both sides begin with. */
const TLS_ALERT = 21;
const TLS_HANDSHAKE = 22;

/**
 * Recognises who sent these bytes.
 *
 * @param bytes - Everything from the beginning of the stream, as far as it is known.
 * @param isAll - Whether the peer sent no more, as long as somebody waited: then less text is enough, since spiped sends
 *   32 bytes at once.
 * @returns Undefined where it may be spiped, or anything else.
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

/** What the peer speaks, in words that follow "it speaks". */
export function protocolName(recognised: DetectedProtocol): string {
  switch (recognised.kind) {
    case "http":
      return `HTTP (${JSON.stringify(recognised.excerpt)})`;
    case "ssh":
      return `SSH (${JSON.stringify(recognised.excerpt)})`;
    case "text":
      return `text (${JSON.stringify(recognised.excerpt)})`;
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
  // An alert is a level and a number; a handshake begins with the hello of either side, and its length in three bytes.
  if (type === TLS_ALERT) return length === 2 && (first === 1 || first === 2);
  return type === TLS_HANDSHAKE && length <= 16_384 && (first === 1 || first === 2) && bytes[6] === 0;
}

function startsWith(bytes: Uint8Array, start: Uint8Array): boolean {
  return bytes.length >= start.length && start.every((byte, index) => bytes[index] === byte);
}

/** How many bytes of text there are at the beginning. */
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

/** ASCII that can be shown, blanks, tabs and ends of lines. */
function isText(byte: number): boolean {
  return (byte >= 0x20 && byte < 0x7f) || byte === 0x09 || byte === 0x0a || byte === 0x0d;
}
