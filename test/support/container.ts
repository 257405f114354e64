// A container as far as spiped can tell: the system's files with its own `/` and `/dev`, and an init process if wanted.

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { temporaryFolder, until } from "./cleanup.js";
import { Command } from "./command.js";

/** The commands that this needs, besides root. */
export const containerCommands = ["unshare", "nsenter", "mount", "chroot"];

/**
 * Makes the container's root at $1, with each further pair of arguments as a folder and its name inside; then waits.
 */
const script = `
set -eu
root=$1
shift
mount -t tmpfs none "$root"
for entry in /*; do
  if [ -L "$entry" ]; then cp -P "$entry" "$root$entry"
  elif [ -d "$entry" ] && [ "$entry" != /dev ]; then
    mkdir "$root$entry"
    mount --rbind "$entry" "$root$entry"
  fi
done
mkdir "$root/dev"
for device in null zero full random urandom tty; do
  touch "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
while [ $# -gt 0 ]; do
  mkdir "$root$2"
  mount --bind "$1" "$root$2"
  shift 2
done
echo ready
exec cat
`;

/** A running container, removed when the test ends. */
export class Container {
  readonly #holder: Command;
  readonly #root: string;

  private constructor(holder: Command, root: string) {
    this.#holder = holder;
    this.#root = root;
  }

  /** @param folders - Folders of the system by their names inside, `/spiped` for one. */
  static async start(t: TestContext, folders: Readonly<Record<string, string>> = {}): Promise<Container> {
    const root = join(await temporaryFolder(t), "root");
    await mkdir(root);
    const pairs = Object.entries(folders).flatMap(([inside, outside]) => [outside, inside]);
    const holder = Command.start(t, ["unshare", "--mount", "sh", "-c", script, "sh", root, ...pairs]);
    await until(() => {
      if (holder.isGone) throw new Error(`the container did not start: ${holder.stderr}`);
      return holder.stdout.includes("ready") ? true : undefined;
    }, "a container to start");
    return new Container(holder, root);
  }

  /**
   * The arguments that run a command inside.
   *
   * @param cwd - Its working directory there.
   */
  inside(args: readonly string[], cwd = "/"): readonly [string, ...string[]] {
    const enter = ["nsenter", "--target", String(this.#holder.id), "--mount", "--", "chroot", this.#root] as const;
    return [...enter, "sh", "-c", 'cd "$0" && exec "$@"', cwd, ...args];
  }

  /** The arguments that run a command as PID 1 of a namespace of its own. */
  insideAsFirst(args: readonly string[]): readonly [string, ...string[]] {
    return this.inside(["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--", ...args]);
  }
}
