// Environment variables from a service manager, or from something that claims to be one.

import assert from "node:assert/strict";
import { forDaemon, read } from "#dist/cli/service-manager-variables.js";
import { parseSourceAddress } from "#dist/net/address.js";
import { InheritedSockets, readHanded } from "#dist/net/inherited-sockets.js";
import { ServiceManager } from "#dist/observe/service-manager.js";
import { isClearLine, outcomeOf, spipedError, type Target, textOf } from "../target.js";

/** Far above all open descriptors. */
const first = 100_000;

export const serviceVariables: Target = {
  name: "service-variables",
  mostBytes: 128 * 1_024,
  words: [
    ..."\0LISTEN_PID=7|\0LISTEN_FDS=|\0LISTEN_FDNAMES=|\0NOTIFY_SOCKET=|\0SPIPED_INTERNAL_SERVICE=|:|1|2|1024|1025|\0|@|/|\n".split(
      "|",
    ),
    '{"notifySocket":"/x","handed":{"processId":7,"first":5}}',
    ...'{ } [ ] null "listenFds": "listenPid":"7" "first": __proto__ a:b:c redis.socket redis unknown'.split(" "),
  ],
  run(input) {
    const [wanted = "", ...entries] = textOf(input).split("\0");
    const variables: Readonly<Record<string, string>> = Object.fromEntries(
      entries.map((entry) => [entry.slice(0, Math.max(0, entry.indexOf("="))), entry.slice(entry.indexOf("=") + 1)]),
    );
    const said = outcomeOf(() => read(variables, 7));
    if ("error" in said) {
      assert.ok(variables["SPIPED_INTERNAL_SERVICE"] !== undefined);
      assert.ok(said.error.message.includes("SPIPED_INTERNAL_SERVICE") && said.error.hint !== undefined);
      return;
    }
    const { notifySocket, handed } = said.value;
    const passed = readHanded({ ...handed, first });
    const names = variables["SPIPED_INTERNAL_SERVICE"] === undefined ? namesOf(variables) : undefined;
    if (passed.kind === "nothing") {
      isClearLine(passed.why);
      isClearLine(passed.hint);
      assert.equal(names, undefined, passed.why);
    } else if (variables["SPIPED_INTERNAL_SERVICE"] === undefined) {
      assert.deepEqual(passed.names, names);
    }
    const { variables: handedOn, descriptors } = forDaemon({ notifySocket, handed: { ...handed, first } }, 5);
    assert.deepEqual(descriptors, new Array(passed.kind === "nothing" ? 0 : passed.names.length).fill("ignore"));
    const again = read(handedOn, 7);
    assert.deepEqual(again, JSON.parse(JSON.stringify({ notifySocket, handed: { ...handed, first: 5 } })));
    take(passed, wanted);
    notify(notifySocket);
  },
};

/** None of them is open, so each must fail with an error that names what was requested. */
function take(passed: ReturnType<typeof readHanded>, wanted: string): void {
  const source = outcomeOf(() => parseSourceAddress(`systemd:${wanted}`));
  if ("error" in source || source.value.kind !== "systemd") return;
  const { value } = source;
  const sockets = new InheritedSockets(passed);
  const outcome = outcomeOf(() => sockets.take(value));
  assert.ok("error" in outcome);
  spipedError(outcome.error, "SPIPED_LISTEN");
  assert.ok(outcome.error.message.startsWith(`cannot listen on systemd:${wanted}: `));
  sockets.areSame(value, { kind: "systemd", name: "redis" });
  sockets.close();
}

/** The names that the variables give, by sd_listen_fds_with_names(3). */
function namesOf(variables: Readonly<Record<string, string>>): readonly string[] | undefined {
  const [pid, fds] = [variables["LISTEN_PID"], variables["LISTEN_FDS"]];
  const isNumber = (text: string | undefined) => text !== undefined && /^\d+$/.test(text) && text.length <= 10;
  if (!isNumber(pid) || BigInt(pid ?? "") !== 7n || !isNumber(fds)) return undefined;
  const count = Number(fds);
  if (count < 1 || count > 1_024) return undefined;
  const names = variables["LISTEN_FDNAMES"]?.split(":") ?? Array.from({ length: count }, () => "unknown");
  return names.length === count ? names : undefined;
}

/** Must not throw, and give at most one warning of one line. The folder in the path does not exist. */
function notify(socket: string | undefined): void {
  const warnings: string[] = [];
  const at = socket?.startsWith("/") ? `/nowhere/for/sure${socket}` : socket?.replace(/^@/, "@spiped-fuzz-");
  const manager = ServiceManager.at(at, (text) => warnings.push(text));
  manager.ready("well");
  manager.stopping("over");
  assert.ok(warnings.length <= 1);
  for (const warning of warnings) isClearLine(warning);
}

export const serviceStatus: Target = {
  name: "service-status",
  mostBytes: 128 * 1_024,
  words: ["\n", "READY=1", "STATUS=", "\u0000", "\u0085", "\u2028", "x".repeat(500), "\u{1f600}", "é"],
  run(input) {
    const sent: string[] = [];
    const manager = new ServiceManager({ send: (bytes) => sent.push(Buffer.from(bytes).toString()) }, assert.fail);
    const text = textOf(input);
    manager.ready(text, 7);
    manager.status(text);
    manager.stopping(text);
    for (const [message, keys] of [
      [sent[0], ["MAINPID", "READY", "STATUS"]],
      [sent[1], ["STATUS"]],
      [sent[2], ["STOPPING", "STATUS"]],
    ] as const) {
      assert.deepEqual(
        message?.split("\n").map((line) => line.split("=", 1)[0]),
        keys,
        "no line is added",
      );
      assert.ok(Buffer.byteLength(message ?? "") < 2_100);
    }
  },
};
