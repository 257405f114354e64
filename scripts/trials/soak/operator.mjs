// The operator of both ends: reloads configurations and keys, now and then with a mistake, gives a client another key,
// adds and removes a tunnel, and queries the status. One action at a time, each until the log confirms it.

import { randomBytes } from "node:crypto";
import { renameSync } from "node:fs";
import { join } from "node:path";
import { configurationOf } from "./configuration.mjs";
import { until, writeWhole } from "./ends.mjs";
import { openConversation } from "./load.mjs";

const MISTAKES = ["sorce = 1", "[encrypt.more\n", 'target = "[127.0.0.1]:99999"', "[defaults]\ntimeout = true"];

/** The operator; see the head of this file. */
export class Operator {
  /** How often each action was done. */
  done = new Map();
  #layout;
  #ends;
  #ledger;
  #load;
  #rounds = { near: 0, far: 0 };

  constructor({ layout, ends, ledger, load }) {
    this.#layout = layout;
    this.#ends = ends;
    this.#ledger = ledger;
    this.#load = load;
  }

  /** Does the next action; they take turns. */
  async round(round) {
    const steps = [
      () => this.#change("near"),
      () => this.#change("far"),
      () => this.#mistake("near", round),
      () => this.#sameAgain("far"),
      () => this.#rotate(),
      () => this.#mistake("far", round),
      () => this.#several("near"),
      () => this.#extra(),
      () => this.#several("far"),
      () => this.#state(),
    ];
    await steps[round % steps.length]();
  }

  /** Does each action once. */
  async all() {
    for (let round = 0; round < 10; round += 1) await this.round(round);
  }

  /** Reloads the file and all keys. */
  async #reload(end, changes, { extra = false } = {}) {
    writeWhole(this.#ends[end].config, configurationOf(end, this.#layout, { round: this.#rounds[end], extra }));
    this.#ends[end].signal("SIGHUP");
    const isRead = ({ event, message }) => event === "config-read" && message.endsWith(`tunnels: ${changes}`);
    await this.#ends[end].says(changes, isRead);
  }

  #count(what) {
    this.done.set(what, (this.done.get(what) ?? 0) + 1);
  }

  async #change(end) {
    this.#rounds[end] = (this.#rounds[end] + 1) % 50;
    await this.#reload(end, "8 unchanged, 1 changed");
    this.#count("reloads that change a tunnel");
  }

  async #sameAgain(end) {
    await this.#reload(end, "9 unchanged");
    await this.#ends[end].says("that it has read its keys", ({ event }) => event === "key-read", 9);
    this.#count("reloads of the same");
  }

  async #mistake(end, round) {
    const mistake = MISTAKES[Math.floor(round / 2) % MISTAKES.length];
    writeWhole(this.#ends[end].config, configurationOf(end, this.#layout, { round: this.#rounds[end], mistake }));
    this.#ends[end].signal("SIGHUP");
    await this.#ends[end].says("that there is a mistake", ({ event }) => event === "config-kept");
    const isSuccessful = async () => (await this.#ends[end].metrics()).get("spiped_last_reload_successful") === 1;
    await until("the last reload to have failed", async () => !(await isSuccessful()));
    this.#count("reloads with a mistake");
    await this.#reload(end, "9 unchanged");
    await until("the last reload to be successful", isSuccessful);
    this.#count("reloads of the same");
  }

  /** Sends several signals, some of them during a reload. */
  async #several(end) {
    const child = this.#ends[end];
    await this.#reload(end, "9 unchanged");
    for (let times = 0; times < 5; times += 1) process.kill(child.pid, "SIGHUP");
    await child.says("that it has read its keys", ({ event }) => event === "key-read", 2 * 9);
    this.#count("reloads several times at once");
  }

  async #state() {
    for (const end of Object.values(this.#ends)) {
      const before = end.events.get("state") ?? 0;
      end.signal("SIGUSR1");
      await until("the state", () => (end.events.get("state") ?? 0) > before);
    }
    this.#count("states asked for");
  }

  /** Gives a client another key. New connections do not notice; those with the old key are reset in the end. */
  async #rotate() {
    const { near, far } = this.#ends;
    const { folder, keys, tunnels } = this.#layout;
    const ledger = this.#ledger;
    const old = await Promise.all(
      [1, 2].map(async () => {
        const id = ledger.newId();
        ledger.count("of a key that is taken away");
        ledger.expect("rotating", "reset", "cancelled");
        return { id, cut: await openConversation({ ledger, address: tunnels.get("rotating").near, id }) };
      }),
    );
    const key = randomBytes(32);
    writeWhole(join(keys, "web-2-new.key"), key);
    far.signal("SIGHUP");
    await far.says("that there is a new key", ({ keys_added: added }) => added?.includes("web-2-new"), 9);
    await this.#load.talk("rotating", "answer", { up: 10, down: 10 });
    writeWhole(join(folder, "rotating.key"), key);
    near.signal("SIGHUP");
    await near.says("that it has the new key", ({ event, tunnel }) => event === "key-read" && tunnel === "rotating");
    await this.#load.talk("rotating", "answer", { up: 10, down: 10 });
    renameSync(join(keys, "web-2-new.key"), join(keys, "web-2.key"));
    far.signal("SIGHUP");
    const read = await far.says("that the old key is gone", (entry) => entry.keys_removed?.includes("web-2"), 9);
    const reset = read.find(({ tunnel }) => tunnel === "rotating")?.count;
    if (reset !== 2) ledger.fail(`of 2 connections whose key was removed, ${reset} were reset`);
    for (const { id, cut } of old) {
      try {
        await cut();
        const outcome = await ledger.served(id);
        if (outcome !== "reset") throw new Error(`the service saw: ${outcome}`);
      } catch (error) {
        ledger.fail(`a removed key: ${error.message}`);
        ledger.dismiss(id);
      }
    }
    await this.#load.talk("rotating", "answer", { up: 10, down: 10 });
    this.#count("keys changed");
  }

  /** Adds and removes a tunnel. */
  async #extra() {
    const { near, far } = this.#ends;
    await this.#reload("far", "9 unchanged, 1 added", { extra: true });
    await this.#reload("near", "9 unchanged, 1 added", { extra: true });
    await Promise.all([1, 2, 3].map(() => this.#load.talk("extra", "duplex", { up: 1_000, down: 1_000 })));
    for (const [name, end] of Object.entries({ near, far })) {
      // Its counters go with the tunnel.
      const closed = `spiped_connections_ended_total{tunnel="extra",reason="closed",key="${name === "near" ? "" : "web-1"}"}`;
      await until("three ends", async () => (await end.metrics()).get(closed) === 3);
      const expected = `${name} extra closed`;
      this.#ledger.expected.set(expected, this.#ledger.expected.get(expected) - 3);
    }
    await this.#reload("near", "9 unchanged, 1 removed");
    await this.#reload("far", "9 unchanged, 1 removed");
    for (const end of [near, far]) {
      await until("the tunnel to be forgotten", async () => !(await end.ask("/metrics")).includes('tunnel="extra"'));
    }
    this.#count("tunnels added and taken out");
  }
}
