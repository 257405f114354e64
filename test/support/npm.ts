// npm as on a user's machine: Node and npm on the PATH, and no build tools.

import { existsSync, realpathSync, symlinkSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { delimiter, dirname, join } from "node:path";
import type { TestContext } from "node:test";
import { temporaryFolder } from "./cleanup.js";
import { Command } from "./command.js";

const npmFolder = findNpm();

/** A command of npm (`npm` or `npx`) with the Node that runs the test. */
export function npmArgs(command: "npm" | "npx", ...args: readonly string[]): readonly [string, ...string[]] {
  return [process.execPath, join(npmFolder, "bin", `${command}-cli.js`), ...args];
}

/** Environment variables that leave only Node and a shell on the PATH, and give npm an empty cache of its own. */
export async function bareEnvironment(t: TestContext, offline: boolean): Promise<Readonly<Record<string, string>>> {
  const folder = await temporaryFolder(t);
  const bin = join(folder, "bin");
  await mkdir(bin);
  return {
    PATH: process.platform === "win32" ? pathWithoutRust() : linkPrograms(bin),
    npm_config_cache: join(folder, "cache"),
    npm_config_offline: String(offline),
    npm_config_audit: "false",
    npm_config_fund: "false",
    npm_config_update_notifier: "false",
  };
}

/** Runs npm to its end. @throws Error with its output if it fails. */
export async function runNpm(
  t: TestContext,
  args: readonly [string, ...string[]],
  options: { readonly cwd: string; readonly env: Readonly<Record<string, string>> },
): Promise<string> {
  const { status, stdout, stderr } = await Command.run(t, args, { stdin: "ignore", ...options });
  if (status !== 0) throw new Error(`${args.slice(1).join(" ")} ended with ${status}: ${stdout}${stderr}`);
  return stdout;
}

function findNpm(): string {
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    // On Windows npm's files are beside its commands; elsewhere npm is a link to them.
    for (const [here, path] of [
      [join(folder, "npm.cmd"), join(folder, "node_modules", "npm")],
      [join(folder, "npm"), undefined],
    ] as const) {
      if (!existsSync(here)) continue;
      const npm = path ?? dirname(dirname(realpathSync(here)));
      if (existsSync(join(npm, "bin", "npm-cli.js"))) return npm;
    }
  }
  throw new Error("there is no npm on the path");
}

function linkPrograms(bin: string): string {
  symlinkSync(process.execPath, join(bin, "node"));
  symlinkSync("/bin/sh", join(bin, "sh"));
  return bin;
}

function pathWithoutRust(): string {
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  return folders.filter((folder) => !existsSync(join(folder, "cargo.exe"))).join(delimiter);
}
