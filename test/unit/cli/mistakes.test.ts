// Mistakes that people make on the command line and in the environment, and the whole message for each: two lines that
// begin with the program's name, of which the second says what to do.

import assert from "node:assert/strict";
import { homedir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { main as spipe } from "#dist/cli/spipe.js";
import { main as spiped } from "#dist/cli/spiped.js";
import { textOf } from "#dist/observe/format.js";
import { errorEntry } from "#dist/observe/log.js";

// If a mistake were accepted, it could start a daemon, which would run this file again, and so on.
if (process.env["SPIPED_INTERNAL_REPORT"] !== undefined) process.exit(1);

/** Arguments as typed, separated by spaces, with '' around those that contain spaces; the message; the hint. */
type Mistake = readonly [args: string, message: string, hint: string];

const S = "-s [127.0.0.1]:1";
const T = "-t h:2";
const K = "-k /nowhere/key";
const ok = `-F -e ${S} ${T} ${K}`;

const port = (number: number) =>
  `write '[127.0.0.1]:${number}' for this machine only, or '[0.0.0.0]:${number}' for all its IPv4 addresses`;
const forms = "write /absolute/path, [IPv4]:port, [IPv6]:port or host:port";
const example = "for example: spiped -e -s '[127.0.0.1]:8025' -t far.example:8025 -k keyfile";
const number = (most: number) => `write a whole number from 0 to ${most}; 0 means no limit`;
const seconds = "write seconds as a number from 0 to 604800, such as 2.5; 0 means the default";
const options = "spiped --help lists the options";

const ofSpiped: readonly Mistake[] = [
  // Nothing, or not enough.
  ["", "-e or -d, -s SOURCE, -t TARGET and -k KEYFILE are missing", example],
  ["-e", "-s SOURCE, -t TARGET and -k KEYFILE are missing", example],
  [
    "-d -F",
    "-s SOURCE, -t TARGET and -k KEYFILE are missing",
    "for example: spiped -d -s '[0.0.0.0]:8025' -t '[127.0.0.1]:25' -k keyfile",
  ],
  [
    `-F ${S} ${T} ${K}`,
    "-e or -d is missing",
    "-e for the end where cleartext comes in, -d for the end next to the service",
  ],
  [`-e ${T} ${K}`, "-s SOURCE is missing", "where to listen, for example -s '[127.0.0.1]:8025'"],
  [`-d ${S} ${K}`, "-t TARGET is missing", "where to connect, for example -t '[127.0.0.1]:25'"],
  [`-e ${S} ${T}`, "-k KEYFILE is missing", "make a key with spiped keygen keyfile, and write -k keyfile"],

  // Options that are misspelled, or another program's.
  [`-encrypt ${S} ${T} ${K}`, "-encrypt has one dash, and long options have two", "write --encrypt"],
  ["-e -source=x", "-source has one dash, and long options have two", "write --source"],
  ["-e --sorce x", "unknown option --sorce", "did you mean --source?"],
  ["-e --keyfile k", "unknown option --keyfile", "did you mean --key?"],
  ["--decript", "unknown option --decript", "did you mean --decrypt?"],
  ["--pidfile x", "unknown option --pidfile", "did you mean --pid-file?"],
  ["--require-forwardsecrecy", "unknown option --require-forwardsecrecy", "did you mean --require-forward-secrecy?"],
  ["--listen [::]:80", "unknown option --listen", "did you mean --source?"],
  ["--connect h:80", "unknown option --connect", "did you mean --target?"],
  ["--config-file x", "unknown option --config-file", "did you mean --config?"],
  ["--fore", "unknown option --fore", "did you mean --foreground?"],
  ["--verbose", "unknown option --verbose", "did you mean --log-level?"],
  ["--daemon", "unknown option --daemon", "it is the default; -F stays in the foreground"],
  ["--no-daemon", "unknown option --no-daemon", "did you mean --foreground?"],
  ["--nonsense", "unknown option --nonsense", options],
  [`${ok} -x`, "unknown option -x", options],
  ["-E", "unknown option -E", "did you mean -e, --encrypt?"],
  ["-V", "unknown option -V", "did you mean -v, --version?"],
  ["-?", "unknown option -?", "did you mean --help?"],
  ["-5", "unknown option -5", options],
  ["-config f", "-config has one dash, and long options have two", "write --config"],
  ["-confg f", "unknown option -confg", "did you mean --config?"],
  ["--keygen f", "unknown option --keygen", "a command has no dashes: spiped keygen FILE"],
  ["--probe", "unknown option --probe", "spipe --probe checks the way to a target; spiped has --check"],
  ["--end-with-remote", "unknown option --end-with-remote", "--end-with-remote is an option of spipe, not of spiped"],

  // Missing and superfluous values.
  [`-e ${T} ${K} -s`, "-s needs a value", "write -s SOURCE, for example -s '[127.0.0.1]:8025'"],
  ["-e -n", "-n needs a value", "write -n MAX"],
  ["-e -s -t h:2", "-s needs a value, and -t is an option", "write -s SOURCE, for example -s '[127.0.0.1]:8025'"],
  ["-e -k -F", "-k needs a value, and -F is an option", "write -k KEYFILE; a file of that name is ./-F"],
  ["-e -k ''", "-k has an empty value", "is a shell variable unset?"],
  ["-e --target=", "-t has an empty value", "is a shell variable unset?"],
  ["-e -k=keyfile", "-k takes its value without =", "write -k keyfile, or --key=keyfile"],
  [`${ok} --syslog=yes`, '--syslog takes no value, and "yes" is one', "write --syslog alone"],
  ["-F true", 'unexpected argument "true"', "-F takes no value; write it alone"],

  // Arguments that no option takes.
  [`${ok} stray`, 'unexpected argument "stray"', "every value follows its option; spiped --help lists them"],
  [`-e h:80 ${K}`, 'unexpected argument "h:80"', "did you mean -s h:80 or -t h:80?"],
  [`-e ${S} [::1]:2 ${K}`, 'unexpected argument "[::1]:2"', "did you mean -t '[::1]:2'?"],
  ["encrypt", 'unexpected argument "encrypt"', "did you mean --encrypt?"],
  ["keygne f", 'unexpected argument "keygne"', "did you mean spiped keygen?"],
  ["keyid f", 'unexpected argument "keyid"', "did you mean spiped key-id?"],
  ["-e keygen f", 'unexpected argument "keygen"', "write the command first: spiped keygen FILE"],
  ["start", 'unexpected argument "start"', "no command is needed: spiped with its options starts the tunnel"],
  ["stop", 'unexpected argument "stop"', 'stop a daemon by its pid file: kill "$(cat PIDFILE)"'],
  [
    "status",
    'unexpected argument "status"',
    'kill -USR1 "$(cat PIDFILE)" logs the state, and --status ADDRESS serves it over HTTP',
  ],
  ["\u2013e", 'unexpected argument "\u2013e"', "the dash is not the one of the keyboard; type -e again"],
  [
    "\u2014encrypt",
    'unexpected argument "\u2014encrypt"',
    "the dash is not the one of the keyboard; type --encrypt again",
  ],
  ["SPIPED_KEY=k -e", 'unexpected argument "SPIPED_KEY=k"', "write variables before the command, or use options"],
  [`${ok} ''`, 'unexpected argument ""', "it is empty; is a shell variable unset?"],

  // Options that exclude each other, or are given twice.
  [
    `${ok} -d`,
    "-e and -d exclude each other",
    "-e for the end where cleartext comes in, -d for the end next to the service",
  ],
  [`${ok} -fg`, "-f and -g exclude each other", "-f disables forward secrecy, and -g requires it"],
  [`${ok} -R -r 5`, "-r and -R exclude each other", "-r looks TARGET up again and again, and -R at startup only"],
  [`${ok} -t x:1`, "-t is given twice", "one command line is one tunnel; --config FILE runs several in one process"],
  [`${ok} --key k`, "-k is given twice", "leave one of them out"],
  [
    `--config f -e ${S}`,
    "--config cannot be combined with -e and -s",
    "write these in the file, for each tunnel or in [defaults]",
  ],

  // Numbers and choices.
  [`${ok} -n many`, 'bad number for -n: "many"', number(1_000_000)],
  [`${ok} -n -1`, 'bad number for -n: "-1"', number(1_000_000)],
  [`${ok} -n 1000001`, 'bad number for -n: "1000001"', number(1_000_000)],
  [`${ok} --threads 0`, 'bad number for --threads: "0"', "write a whole number from 1 to 256"],
  [`${ok} -o 5s`, 'bad number of seconds for -o: "5s"', "write the number alone: 5"],
  [`${ok} -r 1h`, 'bad number of seconds for -r: "1h"', seconds],
  [`${ok} -o -1`, 'bad number of seconds for -o: "-1"', seconds],
  [`${ok} --log-level warn`, 'bad value for --log-level: "warn"', "write error, warning, info or debug"],
  [`${ok} --log-format xml`, 'bad value for --log-format: "xml"', "write text or json"],
  [
    `${ok} --source-mode rw`,
    'bad permissions for --source-mode: "rw"',
    "write octal digits, such as 0660 for the owner and the group",
  ],
  [
    `${ok} --source-mode 0660`,
    "--source-mode is for UNIX sockets, and SOURCE [127.0.0.1]:1 is none",
    "leave it out, or listen on the /absolute/path of a UNIX socket",
  ],
  [
    `-e -F -s systemd:x ${T} ${K} --source-mode 0660`,
    "--source-mode is for UNIX sockets, and SOURCE comes from a .socket unit",
    "write SocketMode= in the unit",
  ],

  // Addresses.
  [`-e -s *:3001 ${T} ${K}`, 'bad address for -s: "*:3001": invalid host name', port(3001)],
  [`-e -s 3001 ${T} ${K}`, 'bad address for -s: "3001": the host is missing', port(3001)],
  [`-e -s :3001 ${T} ${K}`, 'bad address for -s: ":3001": the host is missing', port(3001)],
  [
    `-e ${S} -t 80 ${K}`,
    'bad address for -t: "80": the host is missing',
    "write host:80, or '[127.0.0.1]:80' for this machine",
  ],
  [
    `-e -s ./x.sock ${T} ${K}`,
    'bad address for -s: "./x.sock": the port is missing',
    `UNIX sockets need an absolute path: write ${join(process.cwd(), "x.sock")}`,
  ],
  [
    `-e -s x.sock ${T} ${K}`,
    'bad address for -s: "x.sock": the port is missing',
    `UNIX sockets need an absolute path: write ${join(process.cwd(), "x.sock")}`,
  ],
  [
    `-e ${S} -t http://h:80 ${K}`,
    'bad address for -t: "http://h:80": invalid host name',
    "write h:80, without http://",
  ],
  [`-e ${S} -t https://h/ ${K}`, 'bad address for -t: "https://h/": invalid port', "write h:443, without https://"],
  [`-e ${S} -t unix:/s ${K}`, 'bad address for -t: "unix:/s": invalid port', "write /s"],
  [`-e ${S} -t h:80/x ${K}`, 'bad address for -t: "h:80/x": invalid port', "write h:80, without the path"],
  [`-e ${S} -t h ${K}`, 'bad address for -t: "h": the port is missing', "add the port: h:PORT"],
  [`-e ${S} -t h: ${K}`, 'bad address for -t: "h:": the port is missing', "add the port: h:PORT"],
  [`-e -s ::1 ${T} ${K}`, 'bad address for -s: "::1": the port is missing', "add the port: '[::1]:PORT'"],
  [`-e -s [::1] ${T} ${K}`, 'bad address for -s: "[::1]": the port is missing', "add the port: '[::1]:PORT'"],
  [
    `-e ${S} -t [h]:80 ${K}`,
    'bad address for -t: "[h]:80": the part in brackets is not an IP address',
    "brackets are for IP addresses: write h:80",
  ],
  [`-e ${S} -t h:65536 ${K}`, 'bad address for -t: "h:65536": the port is above 65535', "ports go from 1 to 65535"],
  [
    `-e -s [127.0.0.1]:81020 ${T} ${K}`,
    'bad address for -s: "[127.0.0.1]:81020": the port is above 65535',
    "ports go from 0 to 65535; with 0, the system chooses one",
  ],
  [`-e ${S} -t h:-1 ${K}`, 'bad address for -t: "h:-1": invalid port', "ports go from 1 to 65535"],
  [`-e ${S} -t h:0 ${K}`, 'bad address for -t: "h:0": cannot connect to port 0', "ports go from 1 to 65535"],
  [
    `-e -s '[0.0.0.0]:80 ' ${T} ${K}`,
    'bad address for -s: "[0.0.0.0]:80 ": it begins or ends with a blank',
    "remove the blank",
  ],
  [`-e -s [127.0.0.1:80 ${T} ${K}`, 'bad address for -s: "[127.0.0.1:80": the closing bracket is missing', forms],
  [
    `${ok} -b /s`,
    'bad address for -b: "/s": connections cannot be bound to a UNIX socket',
    "write [IPv4], [IPv6] or a host name, with or without :port",
  ],
  [`${ok} --status here`, 'bad address for --status: "here": the port is missing', "add the port: here:PORT"],
  [
    `-F -e -s h:80 -t H:80 ${K}`,
    "-s and -t are both h:80",
    "-t is -s of the spiped -d on the other machine; on one machine, give each end a port of its own",
  ],
  [
    `-F -d -s /s -t /s ${K}`,
    "-s and -t are both /s",
    "-t is the address of the service; on one machine, give each end a port of its own",
  ],

  // Other commands.
  ["keygen", "spiped keygen needs a file name", "for example: spiped keygen keyfile"],
  ["keygen one two", 'unexpected argument "two"', "spiped keygen takes one file"],
  ["keygen -k one", "unknown option -k", "spiped keygen takes no options: write spiped keygen FILE"],
  ["keygen -", "spiped keygen writes to a file, not to standard output", "name a file"],
  ["keygen ''", "the file name is empty", "is a shell variable unset?"],
  [
    "keygen /nowhere/at/all/key",
    "cannot write key file /nowhere/at/all/key: there is no folder /nowhere/at/all",
    "make that folder first",
  ],
  [
    "keygen ~/none/key",
    "cannot write key file ~/none/key: there is no folder ~/none",
    `only a shell expands ~, and not in quotes or after =; write ${homedir()}/none/key`,
  ],
  ["keygen /", "cannot write key file /: it exists already", "keys are never overwritten; choose another name"],
  ["key-id", "spiped key-id needs a file name", "for example: spiped key-id keyfile"],
  ["help me", 'unexpected argument "help"', "did you mean --help?"],
];

const ofSpipe: readonly Mistake[] = [
  ["", "-t TARGET and -k KEYFILE are missing", "for example: spipe -t far.example:8025 -k keyfile"],
  [K, "-t TARGET is missing", "where to connect: the SOURCE of a spiped -d, for example -t far.example:8025"],
  [`${T} -k -`, "-k - is standard input, which is the data", "name a key file"],
  [`${T} ${K} -e`, "unknown option -e", "-e is an option of spiped, not of spipe"],
  [`${T} ${K} ${S}`, "unknown option -s", "-s is an option of spiped, not of spipe"],
  [`${T} ${K} --check`, "unknown option --check", "spiped --check checks a tunnel; spipe has --probe"],
  ["h:80 -k k", 'unexpected argument "h:80"', "did you mean -t h:80?"],
  ["keygen f", 'unexpected argument "keygen"', "did you mean spiped keygen?"],
  ["-t nowhere -k k", 'bad address for -t: "nowhere": the port is missing', "add the port: nowhere:PORT"],
];

/** Environment variables, with a command line that lacks `-k`, or an empty one. */
const ofEnvironment: ReadonlyArray<readonly [Readonly<Record<string, string>>, message: string, hint: string]> = [
  [{ SPIPED_KEYFILE: "k" }, "unknown variable SPIPED_KEYFILE", "did you mean SPIPED_KEY?"],
  [{ SPIPED_SORCE: "x" }, "unknown variable SPIPED_SORCE", "did you mean SPIPED_SOURCE?"],
  [
    { SPIPED_REQUIRE_FORWARDSECRECY: "1" },
    "unknown variable SPIPED_REQUIRE_FORWARDSECRECY",
    "did you mean SPIPED_REQUIRE_FORWARD_SECRECY?",
  ],
  [{ SPIPED_KEY: "" }, "SPIPED_KEY is empty", "give it a value, or unset it"],
  [{ SPIPED_DECRYPT: "TRUE" }, 'bad value of SPIPED_DECRYPT: "TRUE"', "write 1, true or yes; or 0, false or no"],
  [{ SPIPED_TIMEOUT: "5s" }, 'bad number of seconds for -o: "5s" (from SPIPED_TIMEOUT)', "write the number alone: 5"],
  [{ SPIPED_TARGET: "h" }, 'bad address for -t: "h": the port is missing (from SPIPED_TARGET)', "add the port: h:PORT"],
  // Kubernetes sets these for services called spiped and spiped-redis. They are not mistakes, so the next one is reported.
  [
    {
      SPIPED_SERVICE_HOST: "10.0.0.1",
      SPIPED_SERVICE_PORT: "80",
      SPIPED_SERVICE_PORT_HTTP: "80",
      SPIPED_PORT: "tcp://10.0.0.1:80",
      SPIPED_PORT_80_TCP: "tcp://10.0.0.1:80",
      SPIPED_PORT_80_TCP_ADDR: "10.0.0.1",
      SPIPED_SOURCE_SERVICE_HOST: "10.0.0.1",
      SPIPED_REDIS_PORT_6379_TCP_PORT: "6379",
      SPIPED_HOME: "/opt",
      SPIPED_VERSION: "1",
    },
    "-e or -d, -s SOURCE, -t TARGET and -k KEYFILE are missing",
    example,
  ],
];

/** What a command writes to standard error when it refuses its arguments. */
async function standardErrorOf(
  program: "spiped" | "spipe",
  args: readonly string[],
  variables: Readonly<Record<string, string>> = {},
): Promise<string> {
  const main = program === "spiped" ? spiped : spipe;
  try {
    const status = await main({ args, variables });
    return `exit ${status}`;
  } catch (error) {
    return textOf(errorEntry(error), { program, toJournal: false, time: undefined });
  }
}

function argsOf(typed: string): readonly string[] {
  return [...typed.matchAll(/'([^']*)'|\S+/g)].map(([whole, inQuotes]) => inQuotes ?? whole);
}

const skip = process.platform === "win32" ? "paths are others on Windows" : false;

for (const [program, mistakes] of [
  ["spiped", ofSpiped],
  ["spipe", ofSpipe],
] as const) {
  for (const [typed, message, hint] of mistakes) {
    test(`${program} ${typed || "without arguments"} says: ${message}`, { skip }, async () => {
      assert.equal(
        await standardErrorOf(program, argsOf(typed)),
        `${program}: ${message}\n${program}: hint: ${hint}\n`,
      );
    });
  }
}

for (const [variables, message, hint] of ofEnvironment) {
  test(`spiped with ${JSON.stringify(variables)} says: ${message}`, { skip }, async () => {
    assert.equal(await standardErrorOf("spiped", [], variables), `spiped: ${message}\nspiped: hint: ${hint}\n`);
  });
}

test("a misspelled variable is not refused where its option is on the command line", async () => {
  const text = await standardErrorOf("spiped", ["-e", "-k", "k"], { SPIPED_KEYFILE: "k", SPIPED_DECRIPT: "1" });
  assert.match(text, /^spiped: -s SOURCE and -t TARGET are missing\n/);
});

test("no message has usage text, more than two lines, or overlong lines", () => {
  for (const [, message, hint] of [...ofSpiped, ...ofSpipe, ...ofEnvironment]) {
    for (const line of [message, hint])
      assert.match(line, /^(?!usage|Usage)(?=[^A-Z]|[A-Z_]+ |UNIX)[^\n]{1,140}(?<!\.)$/);
  }
});
