// Runs the tests below build/test/<name> for each name given, with this Node's own runner.
// Node 20 takes no patterns and Node 22 no folders, so the files are listed here.

import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));

const files = process.argv.slice(2).flatMap((name) =>
  readdirSync(`build/test/${name}`, { recursive: true })
    .filter((file) => file.endsWith(".test.js"))
    .sort()
    .map((file) => `build/test/${name}/${file}`),
);
if (files.length === 0) throw new Error("there are no test files; run npm run build first");
const { status } = spawnSync(process.execPath, ["--test", "--test-concurrency=2", ...files], { stdio: "inherit" });
process.exit(status ?? 1);
