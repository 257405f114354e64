// Runs another trial in a kernel of its own: User Mode Linux, a Linux kernel that is a program. It has control groups of
// version 2 with a memory controller, and no limit of descriptors, whatever this machine has. The machine's files are
// there, read-only; /tmp and /run are the kernel's own. Needs Linux on x86-64, root, and the package user-mode-linux.
//
//     node scripts/trials/in-uml.mjs faults memory/
//     UML_MEMORY=8G UML_SETUP='sysctl -qw net.ipv4.tcp_rmem="4096 16384 65536" net.ipv4.tcp_wmem="4096 16384 65536"' \
//       node scripts/trials/in-uml.mjs load --long stalled
//
// LINUX_UML is the kernel's path, if it is not in PATH. UML_SETUP is a command that runs in the kernel before the trial.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const [trial, ...words] = process.argv.slice(2);
if (trial === undefined) {
  console.error("give the name of a trial, such as `faults`, and its arguments");
  process.exit(1);
}
const DESCRIPTORS = 65_536;
const STATUS = /^the trial exited with (\d+)/;

const quoted = (word) => `'${word.replaceAll("'", "'\\''")}'`;
const command = [process.execPath, join(root, "scripts/trials", `${trial}.mjs`), ...words].map(quoted).join(" ");
const folder = mkdtempSync(join(tmpdir(), "spiped-uml-"));
const init = join(folder, "init");
writeFileSync(
  init,
  `#!/bin/sh
export PATH=${quoted(process.env.PATH)} HOME=/root
mount -t proc proc /proc && mount -t sysfs sysfs /sys && mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs run /run && mount -t tmpfs -o mode=1777 tmp /tmp
ip link set lo up
ulimit -n ${DESCRIPTORS}
${process.env.UML_SETUP ?? ""}
cd ${quoted(root)}
echo "Linux $(uname -r), control groups: $(cat /sys/fs/cgroup/cgroup.controllers)"
${command}
echo "the trial exited with $?"
echo o > /proc/sysrq-trigger
sleep 60
`,
  { mode: 0o755 },
);
const kernel = spawn(
  process.env.LINUX_UML ?? "linux.uml",
  [
    ...[`mem=${process.env.UML_MEMORY ?? "2G"}`, "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", "quiet"],
    ...[`init=${init}`, "con=null", "con0=null,fd:1"],
  ],
  // Its processes are processes of this machine, and of its group.
  { stdio: ["ignore", "pipe", "inherit"], detached: true },
);
const isOver = new Promise((resolve) => kernel.once("error", resolve).once("exit", resolve));
process.once("exit", () => {
  if (kernel.pid !== undefined && kernel.exitCode === null && kernel.signalCode === null)
    process.kill(-kernel.pid, "SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});
for (const [signal, status] of Object.entries({ SIGINT: 130, SIGTERM: 143 }))
  process.once(signal, () => process.exit(status));

let status = 2;
createInterface({ input: kernel.stdout }).on("line", (text) => {
  const line = text.replace(/\r$/, "");
  status = Number(STATUS.exec(line)?.[1] ?? status);
  if (!STATUS.test(line)) console.log(line);
});
const failure = await isOver;
if (failure instanceof Error) console.error(`the trial needs the program linux.uml: ${failure.message}`);
process.exit(status);
