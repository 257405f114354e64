// A configuration file for tests: tunnels as tables, both ends in one process, and the spiped that runs them.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { type Address, type AddressKind, freeAddress, textOf } from "./addresses.js";
import { failsafeMs, temporaryFolder } from "./cleanup.js";
import { Command } from "./command.js";
import { Listener } from "./listener.js";
import { ours } from "./programs.js";
import { TestSocket } from "./test-socket.js";
import { newKey } from "./tunnel.js";

/** The keys of one table. */
export type Keys = Readonly<Record<string, string | number | boolean>>;

/** One table of a file. */
export function table(name: string, keys: Keys): string {
  const lines = Object.entries(keys).map(([key, value]) => `${key} = ${JSON.stringify(value)}`);
  return [...(name === "" ? [] : [`[${name}]`]), ...lines, ""].join("\n");
}

/** Two tunnels, `encrypt.NAME` before `decrypt.NAME-far`, and the service behind them. */
export interface PairOfEnds {
  readonly name: string;
  readonly near: Address;
  readonly far: Address;
  readonly service: Listener;
  /** Their tables. */
  text(nearKeys?: Keys, farKeys?: Keys): string;
  /** A connection through both, and the matching one at the service. */
  connectThrough(): Promise<{ readonly app: TestSocket; readonly service: TestSocket }>;
}

/** A file and the spiped that uses it. */
export class ConfigFile {
  readonly folder: string;
  readonly path: string;
  readonly keyFile: string;
  readonly #t: TestContext;

  private constructor(t: TestContext, folder: string, keyFile: string) {
    this.#t = t;
    this.folder = folder;
    this.path = join(folder, "tunnels.toml");
    this.keyFile = keyFile;
  }

  static async make(t: TestContext): Promise<ConfigFile> {
    return new ConfigFile(t, await temporaryFolder(t), (await newKey(t)).path);
  }

  /** Addresses for two tunnels in a row. */
  async pair(name: string, kind: AddressKind = "tcp"): Promise<PairOfEnds> {
    const t = this.#t;
    const service = await Listener.listen(t, kind);
    const [near, far] = [await freeAddress(t, kind), await freeAddress(t, kind)];
    return {
      name,
      near,
      far,
      service,
      text: (nearKeys = {}, farKeys = {}) =>
        table(`encrypt.${name}`, { source: textOf(near), target: textOf(far), ...nearKeys }) +
        table(`decrypt.${name}-far`, { source: textOf(far), target: textOf(service.address), ...farKeys }),
      connectThrough: async () => {
        const app = await TestSocket.connect(t, near);
        return { app, service: await service.next() };
      },
    };
  }

  /** Writes the file: tables of tunnels, below defaults with the key and a long time limit. */
  async write(...texts: readonly string[]): Promise<void> {
    const defaults = table("defaults", { key: this.keyFile, timeout: failsafeMs / 1_000 });
    await writeFile(this.path, [...texts, defaults].join("\n"));
  }

  /** Starts spiped in the foreground and waits until it listens. */
  async start(
    args: readonly string[] = ["--config", this.path],
    env: Readonly<Record<string, string>> = {},
  ): Promise<Command> {
    const command = Command.start(this.#t, [...ours.spiped, "-F", ...args], { stdin: "ignore", env });
    await command.line(/listening on /);
    return command;
  }

  /** Reloads spiped and waits until it has finished. @returns Its log messages meanwhile. */
  async reload(command: Command): Promise<readonly string[]> {
    const before = command.lines.length;
    const done = /SIGHUP: .*(?:reloaded .*; tunnels:|keeping the old configuration)/;
    const count = command.lines.filter((line) => done.test(line)).length;
    command.signal("SIGHUP");
    await command.line(done, count + 1);
    return command.lines.slice(before);
  }
}
