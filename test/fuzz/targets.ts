// All targets.

import type { Target } from "./target.js";
import { addresses } from "./targets/addresses.js";
import { handshakes } from "./targets/handshakes.js";
import { http } from "./targets/http.js";
import { keys } from "./targets/keys.js";
import { library } from "./targets/library.js";
import { log, statusTexts } from "./targets/log.js";
import { serviceStatus, serviceVariables } from "./targets/service-variables.js";
import { proxyHeaders, strangers } from "./targets/strangers.js";
import { supervisor } from "./targets/supervisor.js";
import { toml } from "./targets/toml.js";
import { environment, words } from "./targets/words.js";

export const targets: readonly Target[] = [
  addresses,
  words,
  environment,
  toml,
  serviceVariables,
  serviceStatus,
  strangers,
  proxyHeaders,
  log,
  statusTexts,
  library,
  http,
  handshakes,
  keys,
  supervisor,
];
