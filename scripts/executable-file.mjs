// Reads headers and symbols of executable files: ELF (Linux, FreeBSD) with readelf; Mach-O (macOS) and PE (Windows) itself,
// since not every machine that builds has a tool for them.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

/**
 * @typedef {object} ExecutableFile
 * @property {"ELF" | "Mach-O" | "PE" | "something else"} kind
 * @property {number | undefined} processor - As the file format numbers it.
 * @property {readonly string[]} needed - The libraries that it is linked against.
 * @property {readonly string[]} exported
 * @property {string} [glibc] - ELF: the newest version of glibc that a symbol needs.
 * @property {string} [macos] - Mach-O: the oldest macOS that loads it.
 * @property {boolean} [signed] - Mach-O: whether it is signed; Apple silicon runs nothing unsigned.
 */

/** @returns {ExecutableFile} */
export function readExecutableFile(path) {
  const bytes = readFileSync(path);
  if (bytes.readUInt32BE(0) === 0x7f454c46) return readElf(path, bytes);
  if (bytes.readUInt32LE(0) === 0xfeedfacf) return readMachO(bytes);
  if (bytes.readUInt16BE(0) === 0x4d5a) return readPe(bytes);
  return { kind: "something else", processor: undefined, needed: [], exported: [] };
}

/** Compares versions like 2.28 and 2.4 by their numbers. */
export function compareVersions(one, other) {
  const [left, right] = [one, other].map((version) => version.split(".").map(Number));
  for (let index = 0; index < Math.max(left.length, right.length); index += 1) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

function readElf(path, bytes) {
  const args = ["--dynamic", "--version-info", "--dyn-syms", "--wide", path];
  const text = execFileSync("readelf", args, { encoding: "utf8", env: { ...process.env, LC_ALL: "C" } });
  const versions = [...text.matchAll(/\bGLIBC_(\d+(?:\.\d+)+)/g)].map(([, version]) => version);
  // Number, value, size, type, binding, visibility, section, name; a symbol in section UND is imported.
  const symbols = text.matchAll(/^ *\d+: [\da-f]+ +\w+ \w+ +(?:GLOBAL|WEAK) +\w+ +(?:\d+|ABS) ([\w.$]+)/gm);
  return {
    kind: "ELF",
    processor: bytes.readUInt16LE(18),
    needed: [...text.matchAll(/\(NEEDED\).*\[(.*)\]/g)].map(([, library]) => library),
    exported: [...symbols].map(([, name]) => name),
    glibc: versions.sort(compareVersions).at(-1),
  };
}

const LOAD_COMMANDS = { symbols: 0x02, signature: 0x1d, minimumMacos: 0x24, build: 0x32 };
const LOAD_LIBRARY_COMMANDS = [0x0c, 0x80000018, 0x8000001f];
/** Bits of a symbol's type: exported, and defined in a section of this file. */
const [EXTERNAL, TYPE, IN_SECTION] = [0x01, 0x0e, 0x0e];

function readMachO(bytes) {
  const file = { kind: "Mach-O", processor: bytes.readUInt32LE(4), needed: [], exported: [], signed: false };
  let at = 32;
  for (let left = bytes.readUInt32LE(16); left > 0; left -= 1) {
    const command = bytes.readUInt32LE(at);
    if (LOAD_LIBRARY_COMMANDS.includes(command)) file.needed.push(textAt(bytes, at + bytes.readUInt32LE(at + 8)));
    if (command === LOAD_COMMANDS.symbols) file.exported = machOExports(bytes, at);
    if (command === LOAD_COMMANDS.signature) file.signed = true;
    if (command === LOAD_COMMANDS.minimumMacos) file.macos = machOVersion(bytes.readUInt32LE(at + 8));
    if (command === LOAD_COMMANDS.build) file.macos = machOVersion(bytes.readUInt32LE(at + 12));
    at += bytes.readUInt32LE(at + 4);
  }
  return file;
}

/** The exported symbols, without the leading underscore of C. */
function machOExports(bytes, command) {
  const [symbols, count, names] = [8, 12, 16].map((offset) => bytes.readUInt32LE(command + offset));
  const exported = [];
  for (let at = symbols; at < symbols + 16 * count; at += 16) {
    const type = bytes[at + 4];
    if ((type & EXTERNAL) === 0 || (type & TYPE) !== IN_SECTION) continue;
    exported.push(textAt(bytes, names + bytes.readUInt32LE(at)).replace(/^_/, ""));
  }
  return exported;
}

function machOVersion(word) {
  return `${word >>> 16}.${(word >>> 8) & 0xff}`;
}

function readPe(bytes) {
  const head = bytes.readUInt32LE(0x3c);
  const optional = head + 24;
  const sections = optional + bytes.readUInt16LE(head + 20);
  const count = bytes.readUInt16LE(head + 6);
  /** The offset in the file of an address in memory. */
  const offsetOf = (address) => {
    for (let at = sections; at < sections + 40 * count; at += 40) {
      const start = bytes.readUInt32LE(at + 12);
      if (address >= start && address < start + bytes.readUInt32LE(at + 16)) {
        return address - start + bytes.readUInt32LE(at + 20);
      }
    }
    throw new Error(`no section of the file holds the address ${address}`);
  };
  const directory = (number) => bytes.readUInt32LE(optional + 112 + 8 * number);
  const listed = (number, size, name) => {
    if (directory(number) === 0) return [];
    const libraries = [];
    for (let at = offsetOf(directory(number)); bytes.readUInt32LE(at + name) !== 0; at += size) {
      libraries.push(textAt(bytes, offsetOf(bytes.readUInt32LE(at + name))).toLowerCase());
    }
    return libraries;
  };
  const exported = [];
  if (directory(0) !== 0) {
    const table = offsetOf(directory(0));
    const names = offsetOf(bytes.readUInt32LE(table + 32));
    for (let index = 0; index < bytes.readUInt32LE(table + 24); index += 1) {
      exported.push(textAt(bytes, offsetOf(bytes.readUInt32LE(names + 4 * index))));
    }
  }
  return {
    kind: "PE",
    processor: bytes.readUInt16LE(head + 4),
    // Loaded at the start, and on first use (delay-loaded).
    needed: [...listed(1, 20, 12), ...listed(13, 32, 4)],
    exported,
  };
}

function textAt(bytes, at) {
  return bytes.toString("latin1", at, bytes.indexOf(0, at));
}
