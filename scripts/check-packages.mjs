// npm run check:packages -- DIR: runs publint and Are The Types Wrong on the main package's tarball in DIR.
//
// Both are downloaded on demand, since they have more dependencies than everything else together.

import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";

const folder = process.argv[2];
if (folder === undefined) throw new Error("usage: npm run check:packages -- DIR");
const tarballs = readdirSync(folder).filter((name) => /^spiped-\d.*\.tgz$/.test(name));
if (tarballs.length !== 1) throw new Error(`there must be one main package in ${folder}`);
const tarball = join(folder, tarballs[0]);

let failed = false;
for (const [tool, ...args] of [
  ["publint@0.3.25", "publint", tarball, "--strict"],
  ["@arethetypeswrong/cli@0.18.5", "attw", tarball, "--profile", "esm-only"],
]) {
  const { status } = spawnSync("npm", ["exec", "--yes", `--package=${tool}`, "--", ...args], { stdio: "inherit" });
  failed ||= status !== 0;
}
process.exit(failed ? 1 : 0);
