// Control groups for trials, of version 1 (a tree for each controller) or of version 2 (one tree). Linux and root only.

import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { Lacking, until } from "./scenarios.mjs";

const ROOT = "/sys/fs/cgroup";
/** The files of each version that have another name in the other. */
const FILES = {
  1: { memory: { limit: "memory.limit_in_bytes", used: "memory.usage_in_bytes", most: "memory.max_usage_in_bytes" } },
  2: { memory: { limit: "memory.max", used: "memory.current", most: "memory.peak" } },
};
let groups = 0;

/**
 * A group of the scenario's own, without processes yet, removed afterwards.
 *
 * @param version - The version that the scenario needs; either, if left out.
 * @throws Lacking if the machine has no such group.
 */
export function controlGroup(trial, controller, { version } = {}) {
  const found = versionOf(controller);
  if (found === undefined || (version ?? found) !== found)
    throw new Lacking(
      `there is no ${controller} controller in control groups${version ? ` of version ${version}` : ""}`,
    );
  const parent = found === 1 ? `${ROOT}/${controller}` : ROOT;
  groups += 1;
  const path = `${parent}/spiped-trial-${process.pid}-${groups}`;
  try {
    if (found === 2) writeFileSync(`${ROOT}/cgroup.subtree_control`, `+${controller}`);
    mkdirSync(path);
  } catch (error) {
    throw new Lacking(`cannot make a control group: ${error.message}`);
  }
  trial.afterwards(async () => {
    await until(() => readFileSync(`${path}/cgroup.procs`, "latin1") === "", "the group to be empty");
    rmdirSync(path);
  });
  const names = FILES[found][controller] ?? {};
  const read = (name) => readFileSync(`${path}/${name}`, "latin1");
  const write = (name, value) => writeFileSync(`${path}/${name}`, String(value));
  return {
    version: found,
    path,
    /** The command prefix that starts a program in the group. */
    before: ["sh", "-c", 'echo $$ > "$0/cgroup.procs"; exec "$@"', path],
    add: (pid) => write("cgroup.procs", pid),
    read,
    write,
    limit: (value) => write(names.limit ?? "pids.max", value),
    used: () => Number(read(names.used)),
    most: () => (existsSync(`${path}/${names.most}`) ? Number(read(names.most)) : Number.NaN),
    /** Version 2: how often something happened, by its name in memory.events. */
    events: (name) => Number(new RegExp(`^${name} (\\d+)`, "m").exec(read(`${controller}.events`))?.[1]),
  };
}

function versionOf(controller) {
  if (existsSync(`${ROOT}/${controller}/cgroup.procs`)) return 1;
  const file = `${ROOT}/cgroup.controllers`;
  const controllers = existsSync(file) ? readFileSync(file, "latin1").trim().split(" ") : [];
  return controllers.includes(controller) ? 2 : undefined;
}
