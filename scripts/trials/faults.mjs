// Injects one fault per scenario, and checks what every client received, how its stream ended, what was logged, and
// what was left open: with the relay and without it, in both roles, and through the C original where it can be
// compared. Needs Linux. Scenarios that need root, or a program that is not installed, are reported as skipped.
//
//     node scripts/trials/faults.mjs [SCENARIO…]     prefixes of names: `signals`, `target/down`

import { cleanUpAtExit } from "../support/processes.mjs";
import { runScenarios } from "../support/scenarios.mjs";
import "./faults/descriptors.mjs";
import "./faults/disk.mjs";
import "./faults/clock.mjs";
import "./faults/keys.mjs";
import "./faults/log.mjs";
import "./faults/memory.mjs";
import "./faults/memory-groups.mjs";
import "./faults/names.mjs";
import "./faults/panics.mjs";
import "./faults/target.mjs";
import "./faults/reloads.mjs";
import "./faults/restarts.mjs";
import "./faults/signals.mjs";

cleanUpAtExit();
process.exit(await runScenarios(process.argv.slice(2)));
