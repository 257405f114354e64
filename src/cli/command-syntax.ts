/**
 * What the checks of arguments know about a command.
 */

/** An option of the command. */
export interface KnownOption {
  /** With dashes, like `short`. */
  readonly long: string;
  readonly short: string | undefined;
  readonly takesValue: boolean;
}

/** The command whose arguments are checked. */
export interface Syntax {
  /** `spiped`, or `spiped keygen`. */
  readonly command: string;
  readonly options: readonly KnownOption[];
  /** The maximum number of arguments that are not options. */
  readonly maxOperands: number;
}

/** The long names of the options, without dashes. */
export function longNames({ options }: Syntax): readonly string[] {
  return options.map(({ long }) => long.replace(/^--/, ""));
}

/** The name of an option for messages: the short one if there is one. */
export function nameOf({ short, long }: KnownOption): string {
  return short ?? long;
}
