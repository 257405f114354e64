/**
 * The options about the log. Mistakes in the arguments are logged as well, so the format is looked for before anything is
 * parsed.
 */

import type { FlagValues } from "../flags/flags.js";
import { configureLog } from "../observe/log-settings.js";
import type { RawArguments } from "./raw-arguments.js";

/** Commands without these options. */
const OTHERS = ["keygen", "key-id"];

/** Sets up the log as far as it is known before the arguments are parsed. */
export function guessLog(program: string, { args, variables }: RawArguments, environment: NodeJS.ProcessEnv): void {
  configureLog({ journalStream: environment["JOURNAL_STREAM"] });
  if (program !== "spiped" || OTHERS.includes(args[0] ?? "")) return;
  const at = args.indexOf("--log-format");
  const glued = args.find((arg) => arg.startsWith("--log-format="))?.slice("--log-format=".length);
  const format = at === -1 ? (glued ?? variables["SPIPED_LOG_FORMAT"]) : args[at + 1];
  if (format === "json") configureLog({ format });
}

/** Sets up the log as the options say. */
export function chooseLogBy({ logLevel, logFormat }: Pick<FlagValues<"spiped">, "logLevel" | "logFormat">): void {
  configureLog({ level: logLevel ?? "info", format: logFormat ?? "text", timesInFiles: true });
}
