// Simulates other systems.

import type { TestContext } from "node:test";
import { afterwards } from "../../support/cleanup.js";

/** Sets `process.platform` until the test ends. */
export function onPlatform(t: TestContext, platform: NodeJS.Platform): void {
  const own = Object.getOwnPropertyDescriptor(process, "platform");
  if (own === undefined) throw new Error("process.platform is not where it was");
  Object.defineProperty(process, "platform", { ...own, value: platform });
  afterwards(t, () => Object.defineProperty(process, "platform", own));
}
