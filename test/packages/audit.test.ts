// scripts/audit.mjs with the real npm, and registries that report a vulnerability, report none, or do not answer.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { afterwards, failsafeMs, temporaryFolder } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { root } from "../support/programs.js";

const limits = { timeout: 3 * failsafeMs };

/** Runs the audit against a registry that answers every POST with these advisories, or with an error. */
async function audit(t: TestContext, advisories: object | undefined) {
  const server = createServer((request, response) => {
    request.resume();
    if (request.method === "POST" && advisories !== undefined) {
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(advisories));
    } else response.writeHead(405).end();
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  afterwards(t, () => {
    server.closeAllConnections();
    server.close();
  });
  const env = {
    npm_config_registry: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    npm_config_fetch_retries: "0",
    npm_config_cache: join(await temporaryFolder(t), "cache"),
  };
  return Command.run(t, [process.execPath, join(root, "scripts/audit.mjs")], { stdin: "ignore", env });
}

test("an audit fails if the registry reports a vulnerability, and names it", limits, async (t) => {
  const advisory = { id: 1, url: "https://advisories.example/1", title: "A hole", severity: "high" };
  const { status, stderr } = await audit(t, {
    commander: [{ ...advisory, vulnerable_versions: "<999", cwe: [], cvss: { score: 0, vectorString: null } }],
  });
  assert.equal(status, 1, stderr);
  assert.match(stderr, /^commander: high: A hole \(https:\/\/advisories\.example\/1\)/m);
});

test("an audit passes if the registry reports no vulnerability", limits, async (t) => {
  const { status, stdout, stderr } = await audit(t, {});
  assert.deepEqual([status, stdout, stderr], [0, "npm audit: 0 vulnerable packages\n", ""]);
});

test("an audit is reported as skipped if the registry does not answer", limits, async (t) => {
  const { status, stdout } = await audit(t, undefined);
  assert.equal(status, 0);
  assert.match(stdout, /^npm audit: SKIPPED, the registry did not answer: 405 /);
});
