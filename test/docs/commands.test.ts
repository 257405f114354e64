// Runs the commands of README.md and docs/: each section is a test, which runs its blocks in order.
//
// A block that begins with ```sh near or ```sh far is run. Both run on this machine, with these substitutions:
//
//     127.0.0.1, 0.0.0.0                the loopback address of the block's machine: 127.x.y.1 near, 127.x.y.2 far
//     NAME.example, 192.0.2.N           the far machine; near.example the near one
//     /etc/spiped, /run                 temporary folders, as is the working directory of each machine
//     spiped, spipe                     those of this checkout
//     scp                               a copy from one folder to the other, in either direction
//
// A block that begins with ```sh alone cannot be run here; `notRun` says why.

import assert from "node:assert/strict";
import { closeSync, openSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { afterwards, limits, temporaryFolder, until } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { markOf } from "../support/daemon.js";
import { argsOf, isRunning, processesWith, untilEnded } from "../support/processes.js";
import { ours, root } from "../support/programs.js";
import { type Machine, pages, readPage, type Section, sectionsOf } from "./pages.js";
import {
  collector,
  haproxy,
  httpApi,
  ipmi,
  lacking,
  nginx,
  nodes,
  nothing,
  oneOfTwo,
  type Place,
  placeIn,
  postgres,
  redfish,
  redis,
  type Service,
  sshd,
  unbroken,
  webPage,
} from "./services.js";

/** The service behind the tunnel of a section. */
const services: Readonly<Record<string, Service>> = {
  "README.md: On two machines": webPage,
  "docs/recipes.md: Graphite metrics": collector([/^servers.web1.load 0.42 \d+$/m, /load 0.43 \d+$/m], ["socat"]),
  "docs/recipes.md: An HTTP API between clouds": httpApi,
  "docs/recipes.md: nginx": nginx,
  "docs/recipes.md: HAProxy": haproxy,
  "docs/recipes.md: Redis": redis,
  "docs/recipes.md: PostgreSQL": postgres,
  "docs/recipes.md: ssh": sshd,
  "docs/recipes.md: A file, from a shell": collector([/^a backup/], []),
  "docs/recipes.md: With socat at both ends": ipmi,
  "docs/recipes.md: What the controller offers over TCP": redfish,
  "docs/recipes.md: Remoting with one long connection each way": nodes,
  "docs/config.md: The recipe": collector([/^servers.web1.load 0.42 \d+$/m, /load 0.43 \d+$/m], []),
  "docs/keys.md: Making": nothing,
  "docs/keys.md: Copying": nothing,
  "docs/keys.md: Changing": nothing,
  "docs/keys.md: A key for each client": collector([], []),
  "docs/keys.md: Rotating keys without an outage": unbroken,
  "docs/keys.md: Revoking one client's key": oneOfTwo,
  "docs/status.md: Status": nothing,
  "docs/troubleshooting.md: A probe": sshd,
  "docs/moving.md: One end after the other": collector([/^servers.web1.load 0.42 \d+$/m], ["socat"]),
};

/** The section to run in one shell, on one machine. */
const oneMachine = "README.md: A first tunnel, on one machine";

/** Why blocks are not run here, by their first commands. */
const notRun: ReadonlyArray<readonly [start: RegExp, reason: string]> = [
  [/^npm install --global spiped$/, "takes the registry; test/packages installs the same packages from their files"],
  [
    /^npm run install:global/,
    "builds, and installs for the whole system; test/packages/install-global installs elsewhere",
  ],
  [/^npm uninstall /, "takes the registry, and a global installation"],
  [/^sudo install .*nvm|^sudo install -m 0755 "\$\(command -v node\)"/, "installs for the whole system"],
  [/^npm run bench/, "takes minutes, and measures"],
  [/^cargo bench /, "takes minutes, and measures"],
  [/^ssh .* ipmitool /, "takes a terminal; the way there is that of the section on ssh"],
  [/^secret-store /, "a secret store is everybody's own; -k - is run by test/integration/command-line"],
  [
    /^install -d .*\n(.*\n)*systemctl daemon-reload$/m,
    "takes a running systemd; deployment.test.ts has the unit checked by systemd-analyze",
  ],
  [/^install .*prometheus/, "takes Prometheus; scripts/trials/prometheus.mjs runs it, with the same rules"],
  [/^ssh -N -L /, "takes an sshd that forwards, and does so until it is stopped"],
  [
    /^install .*\nsed -i .*\nsystemctl daemon-reload$/m,
    "takes a running systemd; deployment.test.ts restarts it under load, scripts/trials/systemd.mjs with a booted systemd",
  ],
  [/^chgrp spiped keys /, "takes a user spiped; test/integration/key-folder has what he can read and what he cannot"],
  [/^docker build /, "takes docker and a network; deployment.test.ts runs the entry point"],
  [/^kubectl /, "takes a cluster; deployment.test.ts runs the flags and the probes"],
  [
    /^sudo .*\n(.*\n)*sudo launchctl bootstrap /m,
    "takes macOS; launchd.test.ts checks the property list and its arguments",
  ],
  [/^install .*\n(.*\n)*service spiped start$/m, "takes FreeBSD; freebsd.test.ts runs it with a stand-in for rc.subr"],
];

const sections = pages.flatMap(sectionsOf);

test("every block of commands is run, or has a reason not to be", () => {
  for (const { name, blocks } of sections) {
    for (const { machine, commands } of blocks) {
      const reasons = notRun.filter(([start]) => start.test(commands.trim()));
      assert.equal(reasons.length, machine === undefined ? 1 : 0, `${name}: ${commands}`);
    }
  }
});

test("no command waits for a message that an earlier run may have left in the log", () => {
  for (const { name, blocks } of sections) {
    for (const { commands } of blocks) assert.doesNotMatch(commands, /until grep .*\.log/, name);
  }
});

test("no command is in an indented block", () => {
  for (const page of pages) {
    assert.doesNotMatch(
      readPage(page).replaceAll(/^```[\s\S]*?^```/gm, ""),
      /^ {4}(sudo|npm|spipe|spiped|scp) /m,
      page,
    );
  }
});

test("the list of services names only sections that exist", () => {
  const names = sections.map(({ name }) => name);
  assert.deepEqual(
    Object.keys(services).filter((name) => !names.includes(name)),
    [],
  );
});

test("README.md: Install: the first command is a script of package.json", () => {
  const section = sections.find(({ name }) => name === "README.md: Install");
  const [, script = ""] = /^npm run (\S+)\n$/.exec(section?.blocks[0]?.commands ?? "") ?? [];
  const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { scripts: object };
  // test/packages/install-global.test.ts tests what it does.
  assert.ok(script in scripts, script);
});

for (const section of sections.filter(({ blocks }) => blocks.some(({ machine }) => machine !== undefined))) {
  if (section.name === oneMachine) continue;
  const service = services[section.name];
  test(`${section.name}: the commands do what the text says`, { ...limits, skip: lacking(service) }, async (t) => {
    assert.ok(service !== undefined, "the section has a service behind its tunnel, or `nothing`");
    await runSection(t, section, service);
  });
}

test("README.md: A first tunnel, on one machine: carries data, and leaves nothing behind", {
  ...limits,
  skip: lacking({ needs: ["curl"], start: nothing.start }),
}, async (t) => {
  const section = sections.find(({ name }) => name === oneMachine) ?? assert.fail(`there is no ${oneMachine}`);
  const place = await makePlace(t, section);
  const near = join(place.folder, "near");
  const before = readdirSync(near);
  // One shell for all blocks, as a reader would use; a NUL after each. Nothing here waits for the web server to start.
  const [first = "", ...others] = section.blocks.map(({ commands }) => `${commands}printf '\\0'\n`);
  const serverStarts = "until curl --silent --output /dev/null http://127.0.0.1:8001/; do sleep 0.1; done\n";
  const output = await run(t, place, "near", [first, serverStarts, ...others].join(""));
  assert.deepEqual(
    output
      .split("\0")
      .slice(0, -1)
      .map((text, index) => (section.blocks[index]?.prints === undefined ? "" : text)),
    section.blocks.map(({ prints = "" }) => prints),
  );
  assert.match(output, /^ok +handshake: /m);
  assert.deepEqual(readdirSync(near), before);
  const [mark = ""] = Object.entries(place.mark).map(([name, value]) => `${name}=${value}`);
  const left = () => processesWith(mark, []);
  await until(
    () => (left().length === 0 ? true : undefined),
    () => `the end of ${left().map(argsOf).join(" and ")}`,
  );
});

async function runSection(t: TestContext, section: Section, service: Service): Promise<void> {
  const place = await makePlace(t, section);
  const { settled, check } = await service.start(t, place);
  for (const { machine, commands, prints } of section.blocks) {
    if (machine === undefined) continue;
    const output = await run(t, place, machine, commands);
    if (prints !== undefined) assert.equal(output, prints, commands);
    await settled?.();
  }
  await check?.();
}

/** The two machines: folders, addresses, keys, and the replaced commands. */
async function makePlace(t: TestContext, section: Section): Promise<Place> {
  const folder = await temporaryFolder(t);
  const place = placeIn(folder, markOf(t));
  await mkdir(join(folder, "bin"));
  for (const [name, args] of [
    ["spiped", ours.spiped],
    ["spipe", ours.spipe],
  ] as const) {
    await writeFile(join(folder, "bin", name), `#!/bin/sh\nexec ${args.join(" ")} "$@"\n`, { mode: 0o755 });
  }
  const copy = `#!/bin/sh\n[ "$1" = -p ] && shift\ncase $1 in
    *:*) exec cp -p "${folder}/far/\${1#*:}" "$2" ;;
    *) exec cp -p "$1" "${folder}/far/\${2#*:}" ;;
  esac\n`;
  await writeFile(join(folder, "bin", "scp"), copy, { mode: 0o755 });
  const makesKey = section.blocks.some(({ commands }) => /keygen keyfile$/m.test(commands));
  const copiesKey = makesKey && section.blocks.some(({ commands }) => /^scp -p keyfile /m.test(commands));
  for (const machine of ["near", "far"]) {
    await mkdir(join(folder, machine, "run/app"), { recursive: true });
    await mkdir(join(folder, machine, "etc/spiped"), { recursive: true });
    await writeFile(join(folder, machine, "etc/spiped/ssh.key"), "the key of both", { mode: 0o600 });
    await writeFile(join(folder, machine, "backup.tar"), "a backup");
    const isMadeHere = machine === "near" ? makesKey : copiesKey;
    if (!isMadeHere) await writeFile(join(folder, machine, "keyfile"), "the key of both", { mode: 0o600 });
  }
  afterwards(t, () => stopDaemons(folder));
  return place;
}

/** Runs a block. @returns Its output. */
async function run(t: TestContext, place: Place, machine: Machine, commands: string): Promise<string> {
  const { folder } = place;
  const here = place[machine];
  const exchanged = commands
    .replaceAll(/127\.0\.0\.1|0\.0\.0\.0/g, here)
    .replaceAll(/\bnear\.example\b/g, place.near)
    .replaceAll(/\b[a-z]+\.example\b|\b192\.0\.2\.\d+/g, place.far)
    .replaceAll(/(?<=^|[ =])\/(?=(etc\/spiped|run)\/)/gm, `${join(folder, machine)}/`);
  // Files, not pipes: a daemon keeps them open.
  const [stdout, stderr] = ["stdout", "stderr"].map((name) => openSync(join(folder, name), "w"));
  assert.ok(stdout !== undefined && stderr !== undefined);
  const command = Command.start(t, ["bash", "-euo", "pipefail", "-c", exchanged], {
    stdin: "ignore",
    stdout,
    stderr,
    cwd: join(folder, machine),
    env: { ...place.mark, PATH: `${join(folder, "bin")}:${process.env["PATH"]}:/usr/sbin` },
  });
  closeSync(stdout);
  closeSync(stderr);
  const { status } = await command.ownExit();
  assert.equal(status, 0, `${exchanged}\n${readFileSync(join(folder, "stderr"), "utf8")}`);
  return readFileSync(join(folder, "stdout"), "utf8");
}

/** Stops the daemons that the commands started, by their pid files. One that is exiting removes its file meanwhile. */
async function stopDaemons(folder: string): Promise<void> {
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".pid"));
  for (const file of files) {
    const id = pidIn(join(folder, file));
    // 0 would signal this process's whole group.
    if (id === undefined || id <= 0 || !isRunning(id)) continue;
    try {
      process.kill(id, "SIGINT");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
    await untilEnded(id);
  }
}

function pidIn(file: string): number | undefined {
  try {
    return Number(readFileSync(file, "utf8"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return undefined;
  }
}
