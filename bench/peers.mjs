// What is measured: our two ends, the C original's, and other ways to the same purpose. Each kind says which commands
// make its two ends, near (-e) and far (-d).

import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, closeSync, existsSync, openSync, readFileSync, readSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const OURS = fileURLToPath(new URL("../bin/spiped.js", import.meta.url));
const SSHD = "/usr/sbin/sshd";
const loopback = (port) => `127.0.0.1:${port}`;

/**
 * The kinds that this machine has, each with its name, its program and version, and `commands`.
 *
 * @param folder - Where keys and configurations may be written.
 * @param original - The C original's `spiped`.
 */
export function kindsHere(folder, original) {
  const keyFile = join(folder, "key");
  return [ours(keyFile), theOriginal(keyFile, original), stunnel(folder), ssh(folder), socat(), direct()].filter(
    (kind) => kind.version !== undefined,
  );
}

function ours(keyFile) {
  const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
  return {
    id: "ours",
    name: "ours",
    program: "spiped (ours)",
    version,
    commands: spiped([process.execPath, OURS], keyFile),
  };
}

function theOriginal(keyFile, program) {
  const version = firstLine(program, ["-v"])?.replace(/^spiped /, "");
  return {
    id: "c",
    name: "C spiped",
    program: "spiped (C)",
    version: version !== undefined && isScript(program) ? undefined : version,
    commands: spiped([program], keyFile),
  };
}

/** Ours is linked as `spiped`, too; it is a script, and the original is none. */
function isScript(program) {
  const path = program.includes("/")
    ? program
    : execFileSync("sh", ["-c", 'command -v "$1"', "sh", program], { encoding: "utf8" }).trim();
  const file = openSync(path, "r");
  const head = Buffer.alloc(2);
  readSync(file, head);
  closeSync(file);
  return head.toString("latin1") === "#!";
}

function spiped(command, keyFile) {
  return ({ near, middle, far }, flags) => {
    const end = (role, source, target) => [
      ...[...command, role, "-F", "-s", `[127.0.0.1]:${source}`, "-t", `[127.0.0.1]:${target}`, "-k", keyFile],
      ...flags,
    ];
    return { near: end("-e", near, middle), far: end("-d", middle, far) };
  };
}

function stunnel(folder) {
  const version = firstLine("stunnel", ["-version"], /stunnel (\S+)/);
  if (version !== undefined) writePrivate(join(folder, "psk"), `bench:${"5a".repeat(32)}\n`);
  const end = (name, client, source, target) => {
    const file = join(folder, `stunnel-${name}-${source}.conf`);
    writePrivate(
      file,
      `foreground = yes\npid =\nsyslog = no\ndebug = err\n[${name}]\nclient = ${client}\naccept = ${loopback(source)}\n` +
        `connect = ${loopback(target)}\nsslVersion = TLSv1.3\nPSKsecrets = ${join(folder, "psk")}\n` +
        (client === "yes" ? "PSKidentity = bench\n" : ""),
    );
    return ["stunnel", file];
  };
  return {
    id: "stunnel",
    name: "stunnel",
    program: "stunnel",
    version,
    commands: ({ near, middle, far }) => ({
      near: end("near", "yes", near, middle),
      far: end("far", "no", middle, far),
    }),
  };
}

/** All forwarded connections share one SSH connection, so that a new one costs no key exchange. */
function ssh(folder) {
  // As root, sshd wants its folder for privilege separation.
  const usable = existsSync(SSHD) && (process.getuid?.() !== 0 || existsSync("/run/sshd"));
  const version = usable ? firstLine("ssh", ["-V"], /OpenSSH_([^\s,]+)/) : undefined;
  const [hostKey, userKey] = [join(folder, "host_key"), join(folder, "user_key")];
  if (version !== undefined) {
    for (const key of [hostKey, userKey]) {
      execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f", key]);
    }
  }
  return {
    id: "ssh",
    name: "ssh -L",
    program: "OpenSSH",
    version,
    commands({ near, middle, far }) {
      const server = join(folder, `sshd-${middle}.conf`);
      writePrivate(
        server,
        `Port ${middle}\nListenAddress 127.0.0.1\nHostKey ${hostKey}\nAuthorizedKeysFile ${userKey}.pub\nPidFile none\n` +
          "StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n" +
          "PermitRootLogin prohibit-password\nAllowTcpForwarding local\nLogLevel ERROR\n",
      );
      const options = [
        ...["IdentitiesOnly=yes", "ExitOnForwardFailure=yes", "StrictHostKeyChecking=no", "LogLevel=ERROR"],
        ...["BatchMode=yes", "ControlPath=none", `UserKnownHostsFile=${join(folder, "known_hosts")}`],
      ];
      return {
        near: [
          ...["ssh", "-F", "none", "-N", "-a", "-x", "-i", userKey, "-p", String(middle)],
          ...options.flatMap((option) => ["-o", option]),
          ...["-L", `${loopback(near)}:${loopback(far)}`, `${userInfo().username}@127.0.0.1`],
        ],
        far: [SSHD, "-D", "-e", "-f", server],
      };
    },
  };
}

/** Two plain relays, a process for each connection: what copying costs without any encryption. */
function socat() {
  const end = (source, target) => [
    ...["socat", "-b", "65536", "-t", "60"],
    `TCP-LISTEN:${source},bind=127.0.0.1,fork,reuseaddr,backlog=128,nodelay`,
    `TCP:${loopback(target)},nodelay`,
  ];
  return {
    id: "socat",
    name: "socat, plain",
    program: "socat",
    version: firstLine("socat", ["-V"], /socat version (\S+)/),
    commands: ({ near, middle, far }) => ({ near: end(near, middle), far: end(middle, far) }),
  };
}

/** No tunnel: the load program talks to itself. Shows that it is cheaper than what it measures. */
function direct() {
  return { id: "direct", name: "no tunnel", version: "" };
}

/** What a program says of its version; undefined if it is not there. */
function firstLine(program, words, pattern = /^(.+)$/m) {
  const { error, stdout, stderr } = spawnSync(program, words, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  return error === undefined ? `${stdout}${stderr}`.match(pattern)?.[1] : undefined;
}

function writePrivate(file, text) {
  writeFileSync(file, text, { mode: 0o600 });
  chmodSync(file, 0o600);
}
