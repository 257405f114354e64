// Notifications to the service manager, and sockets that are full or broken.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ServiceManager } from "#dist/observe/service-manager.js";
import { until } from "../../support/cleanup.js";

/** A service manager that the test controls. */
function manager(answer: () => string | undefined = () => undefined) {
  const messages: string[] = [];
  const warnings: string[] = [];
  const channel = {
    send(message: Uint8Array) {
      const code = answer();
      if (code !== undefined) throw Object.assign(new Error(code), { code });
      messages.push(Buffer.from(message).toString());
    },
  };
  return { messages, warnings, notifier: new ServiceManager(channel, (text) => warnings.push(text)) };
}

test("sends the notifications of sd_notify", () => {
  const { messages, notifier } = manager();
  notifier.ready("listening");
  notifier.ready("listening", 42);
  notifier.status("one\ntwo\u001b");
  const before = process.hrtime.bigint() / 1_000n;
  notifier.reloading();
  const after = process.hrtime.bigint() / 1_000n;
  notifier.stopping("2 left");
  const time = /^RELOADING=1\nMONOTONIC_USEC=(\d+)$/.exec(messages[3] ?? "")?.[1] ?? assert.fail(messages[3]);
  assert.ok(BigInt(time) >= before && BigInt(time) <= after);
  assert.deepEqual(messages.toSpliced(3, 1), [
    "READY=1\nSTATUS=listening",
    "MAINPID=42\nREADY=1\nSTATUS=listening",
    "STATUS=one?two?",
    "STOPPING=1\nSTATUS=2 left",
  ]);
});

test("does not report ready after stopping", () => {
  const { messages, notifier } = manager();
  notifier.stopping("over");
  notifier.ready("listening");
  notifier.reloading();
  assert.deepEqual(messages, ["STOPPING=1\nSTATUS=over"]);
});

test("with a full socket, the newest messages are queued and sent later, in order", async () => {
  let full = true;
  const { messages, warnings, notifier } = manager(() => (full ? "EAGAIN" : undefined));
  for (let count = 0; count < 40; count += 1) notifier.status(String(count));
  assert.deepEqual(messages, []);
  full = false;
  // Nothing else keeps the process alive.
  const alive = setInterval(() => undefined, 1_000);
  await until(() => (messages.length === 16 ? true : undefined), "all that has waited");
  clearInterval(alive);
  assert.deepEqual([messages[0], messages[15], warnings], ["STATUS=24", "STATUS=39", []]);
});

test("a missing socket causes one warning", () => {
  const { messages, warnings, notifier } = manager(() => "ENOENT");
  notifier.ready("listening");
  notifier.stopping("over");
  assert.deepEqual([messages, warnings], [[], ["cannot notify the service manager: no such file or directory"]]);
});

test("nothing is sent without a socket, and an invalid name is harmless", () => {
  const silent = ServiceManager.at(undefined, () => assert.fail("must not warn"));
  silent.ready("listening");
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.string({ minLength: 100 }).map((one) => `/${one}`),
        fc.constant("@"),
      ),
      (name) => {
        const warnings: string[] = [];
        const notifier = ServiceManager.at(name, (text) => warnings.push(text));
        notifier.ready("listening");
        notifier.stopping("over");
        assert.ok(warnings.length <= 1 && warnings.every((text) => !text.includes("\n")), warnings.join());
      },
    ),
  );
});
