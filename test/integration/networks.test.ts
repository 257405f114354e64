// A short form of scripts/trials/networks.mjs: every byte arrives unchanged over a link that loses, repeats, reorders and
// corrupts packets, and a forged packet with a correct checksum ends its connection.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { limits } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { declareIf, root } from "../support/programs.js";
import { asRoot } from "../support/root.js";

const device = existsSync("/dev/net/tun") && existsSync("/usr/bin/python3") ? true : undefined;

declareIf(device, "/dev/net/tun and /usr/bin/python3", () =>
  asRoot(["unshare", "ip", "nsenter", "mount"], () => {
    test("every byte arrives over a bad network, and a forged packet is detected", limits, async (t) => {
      const args = [process.execPath, join(root, "scripts/trials/networks.mjs"), "--pairs=ours-ours", "short"] as const;
      const { status, stdout, stderr } = await Command.run(t, args, { stdin: "ignore" });
      assert.equal(status, 0, `${stdout}\n${stderr}`);
      const [line = ""] = stdout.split("\n");
      const { failures, isWhole, link } = JSON.parse(line) as Trial;
      assert.deepEqual([failures, isWhole], [[], true]);
      for (const what of ["lost", "duplicated", "reordered", "forged"] as const)
        assert.ok(link.forward[what] > 0, what);
    });
  }),
);

interface Trial {
  readonly failures: readonly string[];
  readonly isWhole: boolean;
  readonly link: { readonly forward: Readonly<Record<"lost" | "duplicated" | "reordered" | "forged", number>> };
}
