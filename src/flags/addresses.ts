/**
 * Parses the addresses of options, with hints for wrong ones.
 */

import { isIP } from "node:net";
import { homedir } from "node:os";
import { resolve } from "node:path";
import { SpipedError } from "../errors.js";
import {
  type Address,
  type HostAddress,
  parseBindAddress,
  parseLocalAddress,
  parseSourceAddress,
  parseTargetAddress,
  type SourceAddress,
} from "../net/address.js";
import { hasUnixSockets } from "../platform.js";
import type { AddressUse } from "./flags.js";

/** The parsed address of each kind of option. */
interface Parsed {
  readonly source: SourceAddress;
  readonly target: Address;
  readonly bind: HostAddress;
  readonly status: Address;
}

const PARSERS: { readonly [Use in AddressUse]: (text: string) => Parsed[Use] } = {
  source: parseSourceAddress,
  target: parseTargetAddress,
  bind: parseBindAddress,
  status: parseLocalAddress,
};

/** Parses an address of one option. */
export type ParseAddress = <Use extends AddressUse>(use: Use, text: string) => Parsed[Use];

/**
 * Parses an address.
 *
 * @throws SpipedError `SPIPED_ADDRESS` with a hint that says what to write.
 */
export const parseAddressOf: ParseAddress = (use, text) => parse(use, text, (message) => message);

/**
 * Parses the address of an option on the command line or in the environment.
 *
 * @throws SpipedError `SPIPED_ADDRESS` with the option, and with a hint that says what to write.
 */
export const parseAddressOption: ParseAddress = (use, text) =>
  parse(use, text, (message) => message.replace(/^bad address /, `bad address for ${LABELS[use]}: `));

const LABELS: Readonly<Record<AddressUse, string>> = { source: "-s", target: "-t", bind: "-b", status: "--status" };

function parse<Use extends AddressUse>(use: Use, text: string, messageFor: (message: string) => string): Parsed[Use] {
  try {
    return PARSERS[use](text);
  } catch (error) {
    if (!(error instanceof SpipedError)) throw error;
    const hint = hintFor(text, use) ?? error.hint;
    throw new SpipedError(error.code, messageFor(error.message), { cause: error, hint });
  }
}

/** The default ports of URLs. */
const PORTS: Readonly<Record<string, number>> = {
  http: 80,
  https: 443,
  ws: 80,
  wss: 443,
  ssh: 22,
  redis: 6379,
  postgres: 5432,
  postgresql: 5432,
  mysql: 3306,
  mongodb: 27017,
  amqp: 5672,
  smtp: 25,
  ldap: 389,
};

function hintFor(text: string, use: AddressUse): string | undefined {
  if (/['"‘’“”]/.test(text)) return "leave the quotation marks out of the address";
  if (/^\s|\s$/.test(text)) return "remove the blank";
  const url = /^([a-z][a-z0-9+.-]*):\/\/([^/?#]*)(\/[^?#]*)?/i.exec(text);
  if (url !== null) return hintForUrl(url);
  const prefixed = /^(?:unix|tcp[46]?):(.+)$/i.exec(text)?.[1];
  if (prefixed !== undefined) return `write ${shown(prefixed)}`;
  const port = /^(?:\*|\[\*\])?:?(\d+)$/.exec(text)?.[1];
  if (port !== undefined && isPort(port)) return hintForPort(port, use);
  if (/^[^/:[\]]+:\d+\//.test(text)) return `write ${text.replace(/\/.*$/, "")}, without the path`;
  if (hasUnixSockets() && use !== "bind" && isRelativePath(text)) {
    return `UNIX sockets need an absolute path: write ${shown(resolve(text.replace(/^~(?=\/|$)/, homedir())))}`;
  }
  if (use === "bind" && isIP(text) === 6) return `write '[${text}]'`;
  if (isIP(text) !== 0) return `add the port: ${shown(`[${text}]:PORT`)}`;
  const bracketed = /^\[([^\]:]+)\](.*)$/.exec(text);
  if (bracketed?.[1] !== undefined && isIP(bracketed[1]) === 0 && /^[A-Za-z]/.test(bracketed[1])) {
    return `brackets are for IP addresses: write ${bracketed[1]}${bracketed[2] || ":PORT"}`;
  }
  if (/^\[[^\]]+\]:?$/.test(text) || /^[A-Za-z0-9.-]+:?$/.test(text)) {
    return `add the port: ${shown(`${text.replace(/:$/, "")}:PORT`)}`;
  }
  const behind = /:([^:\]]*)$/.exec(text)?.[1] ?? "";
  if (/^-?\d+$/.test(behind) && !isPort(behind)) return portsOf(use);
  return use === "bind" ? "write [IPv4], [IPv6] or a host name, with or without :port" : undefined;
}

function hintForUrl([, scheme = "", authority = "", path = ""]: RegExpExecArray): string {
  if (scheme.toLowerCase() === "unix") return `write ${shown(path)}`;
  const host = authority.replace(/^.*@/, "");
  const port = PORTS[scheme.toLowerCase()] ?? "PORT";
  return `write ${shown(/:\d+$/.test(host) ? host : `${host}:${port}`)}, without ${scheme}://`;
}

function hintForPort(port: string, use: AddressUse): string {
  if (use === "target") return `write host:${port}, or '[127.0.0.1]:${port}' for this machine`;
  return `write '[127.0.0.1]:${port}' for this machine only, or '[0.0.0.0]:${port}' for all its IPv4 addresses`;
}

function portsOf(use: AddressUse): string {
  return use === "target" ? "ports go from 1 to 65535" : "ports go from 0 to 65535; with 0, the system chooses one";
}

function isPort(digits: string): boolean {
  return /^\d{1,5}$/.test(digits) && Number(digits) >= 1 && Number(digits) <= 65_535;
}

function isRelativePath(text: string): boolean {
  return (
    /^(?:\.{1,2}|~)(?:\/|$)/.test(text) ||
    /^[^:[\]\s]*\/[^:[\]\s]*$/.test(text) ||
    /^[^:[\]\s]+\.sock(?:et)?$/.test(text)
  );
}

/** Quotes an address for a shell. */
function shown(address: string): string {
  return /^[\w.:/@%+,=-]+$/.test(address) ? address : `'${address}'`;
}
