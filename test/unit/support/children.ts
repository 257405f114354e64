// Runs a few lines of JavaScript in a child process, for what a test cannot do to itself: standard input, exit status,
// another user.

import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { failsafeMs } from "../../support/cleanup.js";
import { root } from "./paths.js";

/** What a child process is given. */
export interface ChildOptions {
  /** Its standard input, up to the end. */
  readonly input?: Uint8Array;
  /** Standard input, output and error, if not pipes. */
  readonly stdio?: ReadonlyArray<"pipe" | "ignore" | number>;
}

/** Runs a module. `dist("net/address.js")` in it is replaced by the specifier of a module of the product. */
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
