/**
 * What the words say of the log. A mistake in the words is told in the log as well, so its format is looked for before
 * anything else.
 */

import type { FlagValues } from "../flags/flags.js";
import { chooseLog } from "../observe/log-choices.js";
import type { Given } from "./given.js";

/** Words that are commands of their own, without these flags. */
const OTHERS = ["keygen", "key-id"];

/** Chooses what can be known before the words are understood. */
export function guessLog(program: string, { words, variables }: Given, environment: NodeJS.ProcessEnv): void {
  chooseLog({ journalStream: environment["JOURNAL_STREAM"] });
  if (program !== "spiped" || OTHERS.includes(words[0] ?? "")) return;
  const at = words.indexOf("--log-format");
  const glued = words.find((word) => word.startsWith("--log-format="))?.slice("--log-format=".length);
  const word = at === -1 ? (glued ?? variables["SPIPED_LOG_FORMAT"]) : words[at + 1];
  if (word === "json") chooseLog({ format: word });
}

/** Chooses what the words, the variables and the file come to. */
export function chooseLogBy({ logLevel, logFormat }: Pick<FlagValues<"spiped">, "logLevel" | "logFormat">): void {
  chooseLog({ level: logLevel ?? "info", format: logFormat ?? "text", timesInFiles: true });
}
