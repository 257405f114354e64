#!/usr/bin/env node
"use strict";

require("../dist/commands/early-signals.cjs").hearSignals();
require("../dist/commands/commands.cjs").spiped();
