// Checks addons against the platform that their names promise: node scripts/check-artifact.mjs FILE...
//
// The processor and the kind of file come from the file's own head; for Linux and FreeBSD, readelf tells which
// libraries it needs and which version of glibc.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { basename } from "node:path";

/** Node's own builds for Linux ask for this glibc. */
const NEWEST_GLIBC = "2.28";

const KINDS = {
  linux: { kind: "ELF", processors: { x64: 62, arm64: 183 } },
  freebsd: { kind: "ELF", processors: { x64: 62 } },
  darwin: { kind: "Mach-O", processors: { x64: 0x01000007, arm64: 0x0100000c } },
  win32: { kind: "PE", processors: { x64: 0x8664 } },
};

/** What an addon may need; everything else is linked in. */
const LIBRARIES = {
  gnu: /^(libc\.so\.6|libm\.so\.6|libgcc_s\.so\.1|libpthread\.so\.0|libdl\.so\.2|librt\.so\.1|ld-linux-[\w-]+\.so\.\d)$/,
  musl: /^(libc\.so|libc\.musl-[\w]+\.so\.1|libgcc_s\.so\.1)$/,
  freebsd:
    /^(libc\.so\.7|libm\.so\.5|libgcc_s\.so\.1|libthr\.so\.3|libutil\.so\.\d+|librt\.so\.1|libkvm\.so\.\d|libmemstat\.so\.\d|libprocstat\.so\.\d|libdevstat\.so\.\d+|libexecinfo\.so\.1|libsys\.so\.7)$/,
};

const files = process.argv.slice(2);
if (files.length === 0) throw new Error("name the files to check");
let wrong = 0;
for (const file of files) {
  const problems = check(file);
  console.log(`${problems.length === 0 ? "right" : "WRONG"}  ${basename(file)}  ${describe(file)}`);
  for (const problem of problems) console.log(`       ${problem}`);
  wrong += problems.length;
}
process.exit(wrong === 0 ? 0 : 1);

function check(file) {
  const match = /^spiped\.(linux|freebsd|darwin|win32)-(x64|arm64)(?:-(gnu|musl|msvc))?\.node$/.exec(basename(file));
  if (match === null) return ["the name is none that an addon has"];
  const [, system, processor, abi] = match;
  const expected = KINDS[system];
  const head = headOf(file);
  const problems = [];
  if (head.kind !== expected.kind) problems.push(`it is ${head.kind}, not ${expected.kind}`);
  else if (head.processor !== expected.processors[processor]) problems.push(`it is not for ${processor}`);
  if (head.kind !== "ELF" || problems.length > 0) return problems;

  const { needed, glibc, symbols } = dynamicOf(file);
  const allowed = LIBRARIES[abi ?? system];
  const foreign = needed.filter((library) => !allowed.test(library));
  if (foreign.length > 0) problems.push(`it needs ${foreign.join(", ")}`);
  if (abi !== "gnu" && glibc !== undefined) problems.push("it needs glibc");
  if (abi === "gnu" && glibc === undefined) problems.push("it does not need glibc");
  if (glibc !== undefined && compareVersions(glibc, NEWEST_GLIBC) > 0) {
    problems.push(`it needs glibc ${glibc}, and Node ${NEWEST_GLIBC} only`);
  }
  if (!symbols.includes("napi_register_module_v1")) problems.push("it is no addon: napi_register_module_v1 is missing");
  return problems;
}

function describe(file) {
  const { kind, processor } = headOf(file);
  const what = `${kind}, processor ${processor}`;
  if (kind !== "ELF") return what;
  const { needed, glibc } = dynamicOf(file);
  return `${what}, needs ${needed.join(" ")}${glibc === undefined ? "" : `, glibc ${glibc}`}`;
}

function headOf(file) {
  const bytes = readFileSync(file);
  if (bytes.readUInt32BE(0) === 0x7f454c46) return { kind: "ELF", processor: bytes.readUInt16LE(18) };
  if (bytes.readUInt32LE(0) === 0xfeedfacf) return { kind: "Mach-O", processor: bytes.readUInt32LE(4) };
  if (bytes.readUInt16BE(0) === 0x4d5a)
    return { kind: "PE", processor: bytes.readUInt16LE(bytes.readUInt32LE(0x3c) + 4) };
  return { kind: "something else", processor: undefined };
}

function dynamicOf(file) {
  const text = execFileSync("readelf", ["--dynamic", "--version-info", "--dyn-syms", "--wide", file], {
    encoding: "utf8",
  });
  const versions = [...text.matchAll(/\bGLIBC_(\d+(?:\.\d+)+)/g)].map(([, version]) => version);
  return {
    needed: [...text.matchAll(/\(NEEDED\).*\[(.*)\]/g)].map(([, library]) => library),
    glibc: versions.sort(compareVersions).at(-1),
    symbols: text,
  };
}

function compareVersions(one, other) {
  const [left, right] = [one, other].map((version) => version.split(".").map(Number));
  for (let index = 0; index < Math.max(left.length, right.length); index += 1) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
