// node scripts/test.mjs [--shard I/N] NAME...: runs build/test/NAME.test.js, or the tests below build/test/NAME, with the
// test runner of this Node.js. Node 20 takes no patterns and Node 22 no folders, so the files are listed here. With --shard
// I/N, runs the I-th of N parts.

import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArguments, refuse } from "./support/arguments.mjs";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));

const { values, positionals } = parseArguments({ options: { shard: { type: "string" } }, allowPositionals: true });
const files = positionals.flatMap((name) =>
  existsSync(`build/test/${name}.test.js`) ? [`build/test/${name}.test.js`] : filesBelow(`build/test/${name}`),
);
// By far the slowest on some versions of Node.js: always in the first part.
const longest = files.findIndex((file) => file.endsWith("/integration/memory.test.js"));
if (longest > 0) files.unshift(...files.splice(longest, 1));
if (files.length === 0)
  refuse("usage: node scripts/test.mjs [--shard I/N] NAME..., for example unit/net/address or docs");
// Not with the runner's own --test-shard, which sorts the files first.
const [part = 1, parts = 1] = values.shard?.split("/").map(Number) ?? [];
const chosen = files.filter((_, index) => index % parts === part - 1);
const args = ["--test", "--test-concurrency=3", ...chosen];
const { status } = spawnSync(process.execPath, args, { stdio: "inherit" });
process.exit(status ?? 1);

function filesBelow(folder) {
  if (!existsSync(folder))
    refuse(`there is neither ${folder}.test.js nor ${folder}; run npm run build first, or correct the name`);
  return readdirSync(folder, { recursive: true })
    .filter((file) => file.endsWith(".test.js"))
    .sort()
    .map((file) => `${folder}/${file}`);
}
