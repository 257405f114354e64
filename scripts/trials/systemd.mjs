// The units of contrib/systemd under a booted systemd: installed by the commands of docs/deployment.md, start, status,
// reload, journald that stops, the recipe "a restart that refuses nobody", stop with --drain-timeout, two instances on one
// socket, a daemon, and many tunnels in one process. Needs Linux, root, unshare, nsenter and systemd 252 or newer. The booted
// system cannot write to the host: its root is in memory, /usr, the package and /proc/sys are read-only, and it has its own
// network, processes and control group.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { sectionsOf } from "../../build/test/docs/pages.js";
import { need } from "./machines.mjs";

need("unshare", "nsenter", "pivot_root", "systemctl", "ip");

const tree = fileURLToPath(new URL("../..", import.meta.url));
const LIMIT_MS = 60_000;
/** Long enough to fill the 8 MiB that systemd gives to the socket of a service's standard error, and 1 MiB of ours. */
const STOPPED_MS = 60_000;

const BOOT = `
set -eu
root=$1 tree=$2
mount --make-rprivate /
mount -t tmpfs -o mode=755 none "$root"
cd "$root"
mkdir -p usr etc var/log run tmp root home srv opt/spiped proc sys dev old mnt
chmod 1777 tmp
for link in bin sbin lib lib64; do [ -L "/$link" ] && cp -P "/$link" . || true; done
mount --bind /usr usr
mount -o remount,bind,ro usr
mount -t tmpfs -o mode=755 none usr/local/bin
ln -s /opt/spiped/bin/spiped.js usr/local/bin/spiped
mount --bind "$tree" opt/spiped
mount -o remount,bind,ro opt/spiped
cp -r "$3"/. etc
for table in passwd group nsswitch.conf; do cp "/etc/$table" etc; done
mount -t tmpfs -o mode=755 none run
mkdir -m 755 run/credentials
mount -t tmpfs -o mode=755 none dev
for device in null zero full random urandom tty; do
  touch "dev/$device"
  mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/shm dev/pts
mount -t tmpfs -o mode=1777 none dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 none dev/pts
ln -s pts/ptmx dev/ptmx
for link in stdin:0 stdout:1 stderr:2; do ln -s "/proc/self/fd/\${link#*:}" "dev/\${link%:*}"; done
ln -s /proc/self/fd dev/fd
mount -t proc none proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro none sys
mount -t cgroup2 none sys/fs/cgroup
ip link set lo up
pivot_root . old
umount -l /old
rmdir /old
# As every machine has it at its boot: credentials are mounted elsewhere, and come from there.
mount --make-rshared /
# What must hold before anything is booted.
if touch /usr/trial 2>/dev/null || touch /opt/spiped/trial 2>/dev/null; then echo "the walls have holes" >&2; exit 1; fi
if (echo 11 > /proc/sys/net/unix/max_dgram_qlen) 2>/dev/null; then echo "/proc/sys can be written" >&2; exit 1; fi
[ "$(cat /proc/self/cgroup | grep ^0::)" = "0::/" ] && [ "$(ls -A /tmp)" = "" ] || { echo "not its own world" >&2; exit 1; }
exec env -i container=trial PATH=/usr/local/bin:/usr/bin:/usr/sbin /usr/lib/systemd/systemd --system --unit=basic.target \\
  --log-target=journal --show-status=0
`;

/** Units that a machine starts and the trial does not need. */
const MASKED =
  /^(systemd-(tmpfiles|sysctl|sysusers|udev|modules|binfmt|random|hwdb|update|firstboot|journal-(flush|catalog)|machine|pcr|repart|boot|networkd|resolved|timesyncd|ask|pstore)|kmod|dev-|sys-|proc-|keyboard|console|apparmor|e2scrub|ldconfig)/;

const folder = mkdtempSync(join(tmpdir(), "spiped-systemd-"));
const group = join(
  existsSync("/sys/fs/cgroup/unified") ? "/sys/fs/cgroup/unified" : "/sys/fs/cgroup",
  folder.split("/").at(-1),
);
const etc = join(folder, "etc");
let machine;

function write(path, text, mode = 0o644) {
  mkdirSync(join(etc, path, ".."), { recursive: true });
  writeFileSync(join(etc, path), text, { mode });
}

function prepare() {
  mkdirSync(join(folder, "root"));
  write("machine-id", `${"0123456789abcdef".repeat(2)}\n`);
  write("os-release", "ID=trial\n");
  write("fstab", "");
  mkdirSync(join(etc, "systemd/system"), { recursive: true });
  for (const name of readdirSync("/usr/lib/systemd/system").filter((one) => MASKED.test(one)))
    spawnSync("ln", ["-s", "/dev/null", join(etc, "systemd/system", name)]);
}

function end() {
  const first = machine === undefined ? undefined : firstInside();
  // When the first process exits, the kernel ends all others of its namespace.
  if (first !== undefined) process.kill(Number(first), "SIGKILL");
  machine?.kill("SIGKILL");
  // The control group is empty once the first process is gone.
  const until = Date.now() + 5_000;
  const remove = (path) => {
    for (const one of readdirSync(path, { withFileTypes: true })) if (one.isDirectory()) remove(join(path, one.name));
    rmdirSync(path);
  };
  while (existsSync(group)) {
    try {
      remove(group);
    } catch (error) {
      if (Date.now() > until) return console.error(`left behind: ${group}: ${error.message}`);
      spawnSync("sleep", ["0.05"]);
    }
  }
  rmSync(folder, { recursive: true, force: true });
}

/** The first process inside; undefined before it runs. */
function firstInside() {
  if (!existsSync(`/proc/${machine.pid}`)) return undefined;
  const [id] = readFileSync(`/proc/${machine.pid}/task/${machine.pid}/children`, "utf8").trim().split(" ");
  return id !== "" && readFileSync(`/proc/${id}/comm`, "utf8").trim() === "systemd" ? id : undefined;
}

/** The arguments that run a command inside. */
function inside(args) {
  const id = firstInside();
  assert.ok(id, "the machine runs");
  const flags = ["--mount", "--pid", "--net", "--ipc", "--uts", "--root", "--wdns=/opt/spiped"];
  return ["nsenter", `--target=${id}`, ...flags, "--", ...args];
}

function run(command, { fails = false } = {}) {
  const [program, ...args] = inside(["bash", "-euc", command]);
  const env = { PATH: "/usr/local/bin:/usr/bin:/usr/sbin", SYSTEMD_PAGER: "", SYSTEMD_COLORS: "0" };
  const { status, stdout, stderr } = spawnSync(program, args, {
    env,
    encoding: "utf8",
    timeout: LIMIT_MS,
    maxBuffer: 1 << 28,
  });
  if (!fails && status !== 0) {
    const [first, ...more] = inside(["journalctl", "-n", "40", "--no-pager"]);
    console.error(spawnSync(first, more, { encoding: "utf8" }).stdout);
    throw new Error(`${command}\nexited with ${status}: ${stdout}${stderr}`);
  }
  return `${stdout}${stderr}`;
}

/** Runs the commands of a section of docs/deployment.md. */
function runSection(heading) {
  const section = sectionsOf("docs/deployment.md").find(({ name }) => name === `docs/deployment.md: ${heading}`);
  for (const { commands } of section.blocks) run(commands);
}

async function until(condition, what) {
  for (const limit = Date.now() + LIMIT_MS; Date.now() < limit; await new Promise((wake) => setTimeout(wake, 50))) {
    if (condition()) return;
  }
  throw new Error(`timed out waiting for ${what}`);
}

function start(args) {
  const [program, ...more] = inside(args);
  const child = spawn(program, more, { stdio: ["pipe", "pipe", "inherit"] });
  let text = "";
  child.stdout.on("data", (piece) => {
    text += piece;
  });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  return { child, ended, said: () => text };
}

/**
 * Echoes at TARGET, and runs clients of the near end, four at a time, each one line there and back, until stdin ends.
 */
const ECHO = `require("node:net").createServer({ allowHalfOpen: true }, (s) => { s.on("error", () => {}); s.pipe(s); })
  .listen(2222, "127.0.0.1", () => console.log("echoes"))`;
const LOAD = `let going = true, done = 0; const failures = [];
process.stdin.on("end", () => { going = false; }).resume();
const one = () => new Promise((resolve) => { let text = ""; const socket = require("node:net").connect(9022, "127.0.0.1");
  socket.on("data", (piece) => { text += piece; }).on("error", ({ message }) => failures.push(message)).on("close", () => {
    if (text === "hello") done += 1; else failures.push("got " + JSON.stringify(text)); resolve(); }); socket.end("hello"); });
const loop = async () => { while (going) await one(); };
const told = setInterval(() => console.log("so far " + done), 100);
Promise.all([loop(), loop(), loop(), loop()]).then(() => { clearInterval(told); console.log(JSON.stringify({ done, failures })); });`;
const HOLD = `const socket = require("node:net").connect(9022, "127.0.0.1", () => socket.write("hold"));
socket.once("data", () => console.log("held")).on("error", ({ code }) => console.log(code)).on("close", () => process.exit());`;

async function underLoad(work) {
  const load = start(["node", "-e", LOAD]);
  await until(() => /so far [1-9]/.test(load.said()), "clients");
  await work();
  load.child.stdin.end();
  await load.ended;
  const { done, failures } = JSON.parse(load.said().trim().split("\n").at(-1));
  assert.deepEqual(failures, []);
  return done;
}

/** The journal stops reading while clients come, and continues; then it stops, and so does the service. */
async function stopJournald() {
  const journald = run("systemctl show -P MainPID systemd-journald").trim();
  const settings = "/etc/systemd/system/spiped@ssh.service.d";
  run(
    `mkdir -p ${settings}; printf '[Service]\\nLogRateLimitIntervalSec=0\\n' > ${settings}/log.conf; systemctl daemon-reload`,
  );
  run(
    "printf 'SPIPED_LOG_LEVEL=debug\\nSPIPED_LOG_FORMAT=json\\n' >> /etc/spiped/ssh.env; systemctl restart spiped@ssh",
  );
  const journal = "journalctl -u spiped@ssh -o cat --no-pager";
  const count = (pattern) => Number(run(`${journal} | grep -cE '${pattern}' || true`));
  const messages = () => count('"connection":');
  const first = await underLoad(() => undefined);
  const closed = '"closed';
  await until(() => count(closed) >= first, "the messages of all clients");
  const perClient = messages() / first;
  run(`kill -STOP ${journald}`);
  const clients = await underLoad(() => new Promise((wake) => setTimeout(wake, STOPPED_MS)));
  run(`kill -CONT ${journald}`);
  const after = await underLoad(() => undefined);
  const dropped = () => {
    const counts = run(`${journal} | grep -oE 'log messages dropped: [0-9]+' || true`).match(/\d+/g) ?? [];
    return counts.map(Number).reduce((sum, lost) => sum + lost, 0);
  };
  const all = perClient * (first + clients + after);
  try {
    await until(() => messages() + dropped() >= all, "all messages");
  } catch (error) {
    throw new Error(`${error.message}: ${messages()} and ${dropped()} of ${all}`);
  }
  say(
    `journald stopped for ${STOPPED_MS / 1_000} s: ${clients} clients served; of ${all} messages ${messages()} are in the journal, ${dropped()} counted as dropped`,
  );

  run(`kill -STOP ${journald}`);
  await underLoad(() => new Promise((wake) => setTimeout(wake, 1_000)));
  const begun = performance.now();
  const [program, ...args] = inside(["systemctl", "stop", "spiped@ssh"]);
  const { status } = spawnSync(program, args, { timeout: LIMIT_MS });
  const ms = performance.now() - begun;
  run(`kill -CONT ${journald}`);
  assert.equal(status, 0);
  assert.equal(run("systemctl show -P Result spiped@ssh").trim(), "success");
  say(`stop while journald is stopped: ${ms.toFixed(0)} ms`);
  run("sed -i /SPIPED_LOG/d /etc/spiped/ssh.env; systemctl start spiped@ssh");
}

function say(text) {
  console.log(`ok: ${text}`);
}

for (const signal of ["SIGTERM", "SIGINT"]) {
  process.on(signal, () => {
    end();
    process.exit(1);
  });
}

try {
  prepare();
  mkdirSync(group);
  const args = ["-euc", 'echo $$ > "$0/cgroup.procs"; exec "$@"', group];
  const world = ["unshare", "--mount", "--pid", "--cgroup", "--ipc", "--uts", "--net", "--fork", "--kill-child"];
  machine = spawn("sh", [...args, ...world, "sh", "-c", BOOT, "sh", join(folder, "root"), tree, etc], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  await until(() => {
    if (machine.exitCode !== null) throw new Error("the machine did not boot");
    return (
      firstInside() !== undefined &&
      /^(running|degraded)/.test(run("systemctl is-system-running || true", { fails: true }))
    );
  }, "systemd");
  say(`booted: ${run("systemctl --version").split("\n")[0]}, ${run("systemctl is-system-running || true").trim()}`);

  runSection("systemd");
  assert.match(run("journalctl -u spiped@ssh --no-pager"), /listening on \[0\.0\.0\.0\]:8022/);
  run("systemctl disable --now spiped@ssh; sed -i 's/:22$/:2222/' /etc/spiped/ssh.env");
  say("installed as docs/deployment.md says");

  const echo = start(["node", "-e", ECHO]);
  await until(() => echo.said().includes("echoes"), "the service");
  start([
    "spiped",
    "-F",
    "-e",
    "-s",
    "[127.0.0.1]:9022",
    "-t",
    "[127.0.0.1]:8022",
    "-k",
    "/etc/spiped/ssh.key",
    "-o",
    "60",
  ]);

  run("systemctl start spiped@ssh");
  const status = run("systemctl status spiped@ssh");
  assert.match(status, /Active: active \(running\)/);
  assert.match(status, /Status: "listening on \[0\.0\.0\.0\]:8022, decrypting to \[127\.0\.0\.1\]:2222"/);
  say("start: it is active once it listens, and the status line says where");

  const before = run("systemctl show -P MainPID spiped@ssh");
  run("systemctl reload spiped@ssh");
  await until(() => /SIGHUP: reloaded .*/.test(run("journalctl -u spiped@ssh --no-pager")), "the reload");
  assert.equal(run("systemctl show -P MainPID spiped@ssh"), before);
  await until(() => run("systemctl is-active spiped@ssh || true").trim() === "active", "the end of the reload");
  say("reload: the key is read again, and it is active again");

  await stopJournald();

  runSection("A restart that refuses nobody");
  assert.match(run("systemctl status spiped@ssh"), /listening on \[0\.0\.0\.0\]:8022 \(systemd:\)/);
  const done = await underLoad(() => {
    for (let count = 0; count < 10; count += 1) run("systemctl reset-failed spiped@ssh; systemctl restart spiped@ssh");
  });
  say(`the recipe: 10 restarts under load, ${done} clients, none refused and none cut`);

  run("mkdir -p /etc/systemd/system/spiped@ssh.service.d; systemctl reset-failed spiped@ssh");
  run(
    "sed -i /SPIPED_DRAIN/d /etc/spiped/ssh.env; echo SPIPED_DRAIN_TIMEOUT=1 >> /etc/spiped/ssh.env; systemctl restart spiped@ssh",
  );
  const held = start(["node", "-e", HOLD]);
  await until(() => held.said().includes("held"), "an open connection");
  run("systemctl stop spiped@ssh.socket spiped@ssh");
  await held.ended;
  assert.match(held.said(), /ECONNRESET/);
  assert.equal(run("systemctl show -P ExecMainStatus spiped@ssh").trim(), "1");
  assert.match(run("journalctl -u spiped@ssh --no-pager"), /reset 1 open connection after 1 s \(--drain-timeout\)/);
  say("stop: what is still open after --drain-timeout is reset, and the status is 1");

  run(
    "systemctl reset-failed spiped@ssh; sed -i s/^SPIPED_DRAIN_TIMEOUT=.*/SPIPED_DRAIN_TIMEOUT=3/ /etc/spiped/ssh.env",
  );
  // Without NonBlocking=, each start makes the shared socket blocking for the other instance, which must cope.
  for (const name of ["a", "b"]) {
    run(`cp /etc/spiped/ssh.env /etc/spiped/${name}.env; cp -p /etc/spiped/ssh.key /etc/spiped/${name}.key`);
    run(`mkdir -p /etc/systemd/system/spiped@${name}.service.d`);
    run(
      `printf '[Service]\\nSockets=spiped@ssh.socket\\nNonBlocking=no\\n' > /etc/systemd/system/spiped@${name}.service.d/socket.conf`,
    );
  }
  run("systemctl daemon-reload; systemctl start spiped@ssh.socket spiped@a spiped@b");
  const holds = start(["node", "-e", HOLD]);
  await until(() => holds.said().includes("held"), "an open connection");
  const begun = Date.now();
  const beside = await underLoad(() => {
    for (const name of ["a", "b"]) run(`systemctl restart spiped@${name}`);
  });
  say(`two instances on one socket, restarted in turn in ${Date.now() - begun} ms: ${beside} clients, none refused`);
  holds.child.kill();
  run("systemctl stop spiped@ssh.socket spiped@a spiped@b spiped@ssh", { fails: true });

  run(`cat > /etc/systemd/system/daemon.service <<'END'
[Service]
Type=forking
PIDFile=/run/daemon.pid
ExecStart=/usr/local/bin/spiped -d -s [127.0.0.1]:7022 -t [127.0.0.1]:2222 -k /etc/spiped/ssh.key -p /run/daemon.pid
END
systemctl daemon-reload; systemctl start daemon`);
  assert.equal(run("systemctl show -P MainPID daemon").trim(), run("cat /run/daemon.pid").trim());
  run("systemctl stop daemon");
  assert.equal(run("systemctl show -P Result daemon").trim(), "success");
  say("a daemon (Type=forking) is the main process once it is ready, and stops in order");

  run("rm -r /etc/spiped");
  runSection("Many tunnels in one process");
  assert.match(run("systemctl status spiped"), /Active: active \(running\)/);
  const one = run("systemctl show -P MainPID spiped");
  run("sed 's/ssh\\]/more]/; s/8022/8023/' /etc/spiped/tunnels/ssh.toml > /etc/spiped/tunnels/more.toml");
  const checked = run(
    "setpriv --reuid spiped --regid spiped --init-groups spiped --config /etc/spiped/tunnels --check",
    { fails: true },
  );
  assert.match(checked, /^ok .*key file: .*ssh\.key/m);
  run("systemctl reload spiped");
  await until(() => /SIGHUP: reloaded .*tunnels: /.test(run("journalctl -u spiped --no-pager")), "the reload");
  assert.match(run("systemctl status spiped"), /2 tunnels/);
  assert.equal(run("systemctl show -P MainPID spiped"), one);
  run("systemctl stop spiped");
  say("many tunnels in one process: installed as docs/deployment.md says, checked and reloaded as its user");

  const warnings = run("journalctl -p warning -u 'spiped@*' -o cat --no-pager || true");
  console.log(`lines of priority warning or worse:\n${warnings.trim() || "none"}`);
} catch (error) {
  if (firstInside() !== undefined) console.error(run("journalctl -n 40 --no-pager", { fails: true }));
  throw error;
} finally {
  end();
}
