// node scripts/remove-stale.mjs [ROOT]: removes from dist/ and build/test/ what was compiled from a source file that has been
// renamed or removed since. tsc leaves it there, the test runner would run it, and a package would contain it.

import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = process.argv[2] ?? fileURLToPath(new URL("..", import.meta.url));

let removed = 0;
for (const [sources, outputs] of [
  ["src", "dist"],
  ["test", "build/test"],
]) {
  const folder = join(root, outputs);
  if (!existsSync(folder)) continue;
  for (const file of readdirSync(folder, { recursive: true })) {
    const [, name] = /^(.*)(?:\.d\.ts|\.js|\.js\.map)$/s.exec(file) ?? [];
    if (name === undefined || existsSync(join(root, sources, `${name}.ts`))) continue;
    rmSync(join(folder, file));
    removed += 1;
  }
}
if (removed > 0) console.log(`removed ${removed} compiled files that have no source file any more`);
