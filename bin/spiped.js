#!/usr/bin/env node
import { hearSignals } from "../dist/cli/early-signals.js";

hearSignals();
const { run } = await import("../dist/cli/run.js");
await run("spiped", () => import("../dist/cli/spiped.js"));
