// node scripts/check-artifact.mjs FILE...: checks that addons fit the platforms in their names.
//
// Checks the file format, the processor, the libraries and the system version needed, and that the file is an addon.

import { existsSync } from "node:fs";
import { basename } from "node:path";
import { compareVersions, readExecutableFile } from "./executable-file.mjs";
import { refuse } from "./support/arguments.mjs";

/** What Node.js's own builds for Linux need. */
const NEWEST_GLIBC = "2.28";

/** What docs/platforms.md promises. */
const NEWEST_MACOS = "11.0";

/** Every addon exports this. */
const ENTRY = "napi_register_module_v1";

const ELF = { kind: "ELF", processors: { x64: 62, arm64: 183 } };

/** An addon must need `libc`, or it contains a second one. Besides that it may need only `others`. */
const SYSTEMS = {
  "linux-gnu": {
    ...ELF,
    libc: /^libc\.so\.6$/,
    others: /^(lib(m\.so\.6|gcc_s\.so\.1|pthread\.so\.0|dl\.so\.2|rt\.so\.1)|ld-linux-[\w-]+\.so\.\d)$/,
  },
  "linux-musl": { ...ELF, libc: /^libc\.(so|musl-\w+\.so\.1)$/, others: /^libgcc_s\.so\.1$/ },
  freebsd: {
    ...ELF,
    libc: /^libc\.so\.7$/,
    others:
      /^lib(m\.so\.5|gcc_s\.so\.1|thr\.so\.3|util\.so\.\d+|rt\.so\.1|kvm\.so\.\d|memstat\.so\.\d|procstat\.so\.\d|devstat\.so\.\d+|execinfo\.so\.1|sys\.so\.7)$/,
  },
  darwin: {
    kind: "Mach-O",
    processors: { x64: 0x01000007, arm64: 0x0100000c },
    libc: /^\/usr\/lib\/libSystem\.B\.dylib$/,
    others: /^\/(usr\/lib|System\/Library\/Frameworks)\//,
  },
  // Only what Windows itself has: vcruntime140.dll would have to be installed.
  "win32-msvc": {
    kind: "PE",
    processors: { x64: 0x8664, arm64: 0xaa64 },
    libc: /^kernel32\.dll$/,
    others: /^((advapi32|bcrypt|bcryptprimitives|ntdll|userenv|ws2_32)\.dll|api-ms-win-[\w-]+\.dll)$/,
  },
};

const files = process.argv.slice(2);
if (files.length === 0) refuse("usage: node scripts/check-artifact.mjs FILE...");
for (const file of files) if (!existsSync(file)) refuse(`there is no file ${file}`);
let wrong = 0;
for (const path of files) {
  const file = readExecutableFile(path);
  const problems = check(basename(path), file);
  console.log(`${problems.length === 0 ? "right" : "WRONG"}  ${basename(path)}  ${describe(file)}`);
  for (const problem of problems) console.log(`       ${problem}`);
  wrong += problems.length;
}
process.exit(wrong === 0 ? 0 : 1);

function check(name, file) {
  const match = /^spiped\.(linux|freebsd|darwin|win32)-(x64|arm64)(?:-(gnu|musl|msvc))?\.node$/.exec(name);
  const [, system, processor, abi] = match ?? [];
  const expected = SYSTEMS[abi === undefined ? system : `${system}-${abi}`];
  if (expected === undefined) return ["this is not the name of an addon"];
  if (file.kind !== expected.kind) return [`it is ${file.kind}, not ${expected.kind}`];
  if (file.processor !== expected.processors[processor]) return [`it is not for ${processor}`];

  const problems = [];
  const foreign = file.needed.filter((library) => !expected.libc.test(library) && !expected.others.test(library));
  if (foreign.length > 0) problems.push(`it needs ${foreign.join(", ")}`);
  if (!file.needed.some((library) => expected.libc.test(library))) problems.push("it does not use the system's libc");
  if (!file.exported.includes(ENTRY)) problems.push(`it is not an addon: ${ENTRY} is missing`);
  if (abi === "gnu" && compareVersions(file.glibc ?? "0", NEWEST_GLIBC) > 0) {
    problems.push(`it needs glibc ${file.glibc}; Node.js needs only ${NEWEST_GLIBC}`);
  }
  if (system === "darwin") {
    if (compareVersions(file.macos ?? "0", NEWEST_MACOS) > 0) problems.push(`it needs macOS ${file.macos}`);
    if (processor === "arm64" && !file.signed) problems.push("it is not signed, not even ad hoc by the linker");
  }
  return problems;
}

function describe({ kind, processor, needed, glibc, macos }) {
  const system = glibc === undefined ? macos && `, macOS ${macos}` : `, glibc ${glibc}`;
  return `${kind}, processor ${processor}, needs ${needed.join(" ") || "nothing"}${system ?? ""}`;
}
