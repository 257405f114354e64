// The programs that are measured: ours, the C original, and other tunnels. Each kind has the commands that start its two
// ends, near (-e) and far (-d).

import { execFileSync, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  writeFileSync,
} from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const OURS = fileURLToPath(new URL("../bin/spiped.js", import.meta.url));
const SSHD = "/usr/sbin/sshd";
const loopback = (port) => `127.0.0.1:${port}`;

/**
 * The kinds that are installed here, each with its name, its program and version, and `commands`.
 *
 * @param folder - Where to write keys and configuration files.
 * @param original - The C original's `spiped`.
 */
export function kindsHere(folder, original) {
  const keyFile = join(folder, "key");
  const certificates = makeCertificates(folder);
  return [
    ours(keyFile),
    theOriginal(keyFile, original),
    uncoalesced(keyFile),
    operated(folder, keyFile),
    stunnel(folder),
    haproxy(folder, certificates),
    ghostunnel(certificates),
    ssh(folder),
    socat(),
    direct(),
  ].filter((kind) => kind.version !== undefined);
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

/** Ours without coalescing: it reads every line at once, as the original does. */
function uncoalesced(keyFile) {
  const { version, commands } = ours(keyFile);
  return {
    id: "uncoalesced",
    name: "ours, --no-coalescing",
    version,
    commands: (ports, flags) => commands(ports, [...flags, "--no-coalescing"]),
  };
}

/** Ours as operators run it: a status endpoint, a JSON log, and ten named keys, of which the client has the last. */
function operated(folder, keyFile) {
  const { version } = ours(keyFile);
  const keys = join(folder, "keys");
  mkdirSync(keys, { mode: 0o700 });
  for (let count = 1; count <= 9; count += 1) {
    writeFileSync(join(keys, `client-${count}.key`), randomBytes(32), { mode: 0o600 });
  }
  copyFileSync(keyFile, join(keys, "the-client.key"));
  let count = 0;
  const status = () => {
    count += 1;
    return ["--status", join(folder, `status-${count}`), "--log-format", "json"];
  };
  const near = spiped([process.execPath, OURS], keyFile);
  const far = spiped([process.execPath, OURS], keys);
  return {
    id: "operated",
    name: "ours, with status, JSON log, named keys",
    version,
    commands: (ports, flags) => ({
      near: near(ports, [...flags, ...status()]).near,
      far: far(ports, [...flags, ...status()]).far,
    }),
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

/** Our command is called `spiped` too, but it is a script; the original is not. */
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

/** HAProxy as a TLS tunnel: mutual certificates, and a full handshake for each connection, as with spiped. */
function haproxy(folder, certificates) {
  const { authority, identity } = certificates ?? {};
  const version = authority && firstLine("haproxy", ["-v"], /version (\d+\.\d+\.\d+)/);
  const end = (name, source, sourceTls, target, targetTls) => {
    const file = join(folder, `haproxy-${name}-${source}.cfg`);
    writePrivate(
      file,
      "defaults\n  mode tcp\n  timeout connect 10s\n  timeout client 1h\n  timeout server 1h\n" +
        `listen ${name}\n  bind ${loopback(source)}${sourceTls}\n  server target ${loopback(target)}${targetTls}\n`,
    );
    return ["haproxy", "-db", "-q", "-f", file];
  };
  const tls = ` ssl crt ${identity} ca-file ${authority} verify required ssl-min-ver TLSv1.3`;
  return {
    id: "haproxy",
    name: "HAProxy",
    program: "HAProxy",
    version,
    commands: ({ near, middle, far }) => ({
      near: end("near", near, "", middle, `${tls} no-ssl-reuse`),
      far: end("far", middle, `${tls} no-tls-tickets`, far, ""),
    }),
  };
}

function ghostunnel(certificates) {
  const { authority, certificate, key } = certificates ?? {};
  const tls = ["--cert", certificate, "--key", key, "--cacert", authority, "--quiet=all"];
  const end = (role, source, target) => [
    ...["ghostunnel", role, "--listen", loopback(source), "--target", loopback(target)],
    ...tls,
  ];
  return {
    id: "ghostunnel",
    name: "ghostunnel",
    program: "ghostunnel",
    version: authority && firstLine("ghostunnel", ["--version"], /v?(\d+\.\d+\S*)/),
    commands: ({ near, middle, far }) => ({
      near: end("client", near, middle),
      far: [...end("server", middle, far), "--allow-all"],
    }),
  };
}

/** A CA and one P-256 certificate for both ends; undefined without `openssl`. */
function makeCertificates(folder) {
  if (firstLine("openssl", ["version"]) === undefined) return undefined;
  const [authority, authorityKey] = [join(folder, "authority.pem"), join(folder, "authority.key")];
  const [certificate, key, request] = ["end.pem", "end.key", "end.csr"].map((name) => join(folder, name));
  const extensions = join(folder, "end.ext");
  writePrivate(extensions, "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n");
  const openssl = (...args) => execFileSync("openssl", args, { stdio: ["ignore", "ignore", "pipe"] });
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  openssl("req", "-x509", ...newKey, "-keyout", authorityKey, "-out", authority, "-subj", "/CN=bench", "-days", "2");
  openssl("req", ...newKey, "-keyout", key, "-out", request, "-subj", "/CN=end");
  openssl(
    ...["x509", "-req", "-in", request, "-CA", authority, "-CAkey", authorityKey, "-CAcreateserial"],
    ...["-extfile", extensions, "-out", certificate, "-days", "2"],
  );
  const identity = join(folder, "identity.pem");
  writePrivate(identity, readFileSync(certificate, "utf8") + readFileSync(key, "utf8"));
  return { authority, certificate, key, identity };
}

/** All forwarded connections share one SSH connection, so new ones need no key exchange. */
function ssh(folder) {
  // As root, sshd needs its privilege separation folder.
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

/** Two plain relays with a process for each connection: the cost of copying without encryption. */
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

/** No tunnel: the load generator talks to itself. Shows that it costs less than what it measures. */
function direct() {
  return { id: "direct", name: "no tunnel", version: "" };
}

/** The version a program reports; undefined if it is not installed. */
function firstLine(program, args, pattern = /^(.+)$/m) {
  const { error, stdout, stderr } = spawnSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  return error === undefined ? `${stdout}${stderr}`.match(pattern)?.[1] : undefined;
}

function writePrivate(file, text) {
  writeFileSync(file, text, { mode: 0o600 });
  chmodSync(file, 0o600);
}
