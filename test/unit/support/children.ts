// Runs a few lines of JavaScript in a process of their own, for what a test cannot do to its own: standard input, exit
// status, another user.

import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { failsafeMs } from "../../support/cleanup.js";
import { root } from "./paths.js";

/** What a child process is given. */
export interface ChildOptions {
  /** What it finds on standard input, to its end. */
  readonly input?: Uint8Array;
  /** What standard input, output and error are, where they are no pipes. */
  readonly stdio?: ReadonlyArray<"pipe" | "ignore" | number>;
}

/** Runs a module. `dist("net/address.js")` in it stands for the specifier of a module of the product. */
export function runModule(source: string, options: ChildOptions = {}): SpawnSyncReturns<Buffer> {
  const module = `const dist = (path) => new URL(path, ${JSON.stringify(distUrl)}).href;\n${source}`;
  return spawnSync(process.execPath, ["--input-type=module", "--eval", module], {
    cwd: root,
    timeout: failsafeMs,
    killSignal: "SIGKILL",
    maxBuffer: Number.POSITIVE_INFINITY,
    ...(options.input === undefined ? {} : { input: options.input }),
    ...(options.stdio === undefined ? {} : { stdio: [...options.stdio] }),
  });
}

const distUrl = `${pathToFileURL(join(root, "dist")).href}/`;
