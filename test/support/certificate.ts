// A self-signed certificate for TLS servers behind a tunnel.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { Command } from "./command.js";

/** Makes one in `folder`, with its key. Returns the options of a TLS server. */
export async function makeCertificate(
  t: TestContext,
  folder: string,
): Promise<{ readonly key: Buffer; readonly cert: Buffer }> {
  const files = { key: join(folder, "tls.key"), certificate: join(folder, "tls.crt") };
  const make = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=bmc", "-keyout", files.key];
  const { status, stderr } = await Command.run(t, ["openssl", ...make, "-out", files.certificate]);
  assert.equal(status, 0, stderr);
  return { key: await readFile(files.key), cert: await readFile(files.certificate) };
}
