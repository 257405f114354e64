// The tunnels of the soak, as configuration files for both ends.

import { randomBytes, randomInt } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "../../support/processes.mjs";
import { writeWhole } from "./ends.mjs";

/** What each tunnel carries, and over which kind of socket. */
const TUNNELS = {
  short: {},
  plain: { withoutForwardSecrecy: true },
  bulk: { nearPath: true, servicePath: true },
  metrics: {},
  idle: { nearPath: true },
  changed: {},
  rotating: {},
  flapping: {},
  /** For unauthenticated clients, and clients with the wrong key. */
  door: {},
  /** Added and removed by the operator. */
  extra: {},
};

/** Chooses addresses and generates keys. */
export async function layOut(folder) {
  // Loopback addresses of our own: other programs may take a port of 127.0.0.1 that is free for a moment.
  const host = `127.${1 + randomInt(254)}.${randomInt(256)}.${1 + randomInt(254)}`;
  const tunnels = new Map();
  for (const [name, { nearPath, servicePath, withoutForwardSecrecy = false }] of Object.entries(TUNNELS)) {
    const near = nearPath ? { path: join(folder, `${name}.sock`) } : { host, port: await freePort() };
    const far = { host, port: await freePort() };
    const service = servicePath ? { path: join(folder, `${name}.service`) } : { host, port: await freePort() };
    tunnels.set(name, { near, far, service, withoutForwardSecrecy });
  }
  const keys = join(folder, "keys");
  mkdirSync(keys, { mode: 0o700 });
  const near = randomBytes(32);
  writeWhole(join(folder, "near.key"), near);
  writeWhole(join(keys, "web-1.key"), near);
  const rotating = randomBytes(32);
  writeWhole(join(folder, "rotating.key"), rotating);
  writeWhole(join(keys, "web-2.key"), rotating);
  for (let number = 3; number <= 8; number += 1) writeWhole(join(keys, `web-${number}.key`), randomBytes(32));
  writeWhole(join(folder, "wrong.key"), randomBytes(32));
  return {
    folder,
    keys,
    tunnels,
    status: { near: { socketPath: join(folder, "status.sock") }, far: { host, port: await freePort() } },
  };
}

/** The text of one end's configuration file. */
export function configurationOf(
  end,
  { folder, keys, tunnels, status },
  { round = 0, extra = false, mistake = "" } = {},
) {
  const parts = [
    `status = "${written(status[end])}"`,
    `[defaults]\nkey = "${end === "near" ? join(folder, "near.key") : keys}"\nmax-connections = 500\ntimeout = 20`,
  ];
  for (const [name, { near, far, service, withoutForwardSecrecy }] of tunnels) {
    if (name === "extra" && !extra) continue;
    const [role, source, target] = end === "near" ? ["encrypt", near, far] : ["decrypt", far, service];
    const lines = [`[${role}.${name}]`, `source = "${written(source)}"`, `target = "${written(target)}"`];
    if (withoutForwardSecrecy) lines.push("without-forward-secrecy = true");
    if (name === "changed") lines.push(`max-connections = ${400 + round}`);
    if (end === "near" && name === "rotating") lines.push(`key = "${join(folder, "rotating.key")}"`);
    if (end === "near" && name === "door") lines.push(`key = "${join(folder, "wrong.key")}"`);
    parts.push(lines.join("\n"));
  }
  return `${parts.join("\n\n")}\n${mistake}\n`;
}

function written({ path, socketPath = path, host, port }) {
  return socketPath ?? `[${host}]:${port}`;
}
