// Configuration files: the tunnels they define, and every mistake, with its file and line.

import assert from "node:assert/strict";
import { test } from "node:test";
import { type CheckedConfig, checkTexts, type FileConfig } from "#dist/flags/config-file.js";
import { textOf } from "#dist/flags/mistakes.js";

function check(...texts: string[]): CheckedConfig {
  const files = texts.map((text, at) => ({ path: texts.length === 1 ? "t.toml" : `t/${at}.toml`, text }));
  return checkTexts(texts.length === 1 ? "t.toml" : "t", { texts: files, mistakes: [] });
}

function right(...texts: string[]): FileConfig {
  const checked = check(...texts);
  if (checked.kind === "right") return checked.config;
  assert.fail(checked.mistakes.map(textOf).join("\n"));
}

function mistakesOf(...texts: string[]): readonly string[] {
  const checked = check(...texts);
  return checked.kind === "right" ? [] : checked.mistakes.map(textOf);
}

const redis = `[decrypt.redis]
source = "[::1]:6380"
target = "[127.0.0.1]:6379"
key = "/etc/spiped/redis.key"
`;

const graphite = `[encrypt.graphite]
source = "/run/graphite"
target = "far.example:2562"
key = "/etc/spiped/graphite.key"
`;

test("a tunnel has its name, its role, the values of its keys, and the defaults of the options", () => {
  const { process, tunnels } = right(redis);
  assert.deepEqual(process, {});
  assert.deepEqual(tunnels, [
    {
      config: {
        name: "redis",
        role: "decrypt",
        source: { kind: "host", host: "::1", literal: true, service: "6380" },
        target: { kind: "host", host: "127.0.0.1", literal: true, service: "6379" },
        sourceMode: undefined,
        resolveIntervalMs: 60_000,
        bind: undefined,
        forwardSecrecy: "allow",
        keepAlive: true,
        proxyProtocol: false,
        maxConnections: 100,
        timeoutMs: 5_000,
      },
      keyFile: "/etc/spiped/redis.key",
    },
  ]);
});

test("every key of a tunnel is accepted", () => {
  const [tunnel] = right(`${graphite}
    bind = "[127.0.0.2]"
    source-mode = "0660"
    require-forward-secrecy = true
    without-forward-secrecy = false
    keep-alive = false
    proxy-protocol = true
    timeout = 0.5
    max-connections = 7
    resolve-once = true
  `).tunnels;
  assert.deepEqual(tunnel?.config, {
    name: "graphite",
    role: "encrypt",
    source: { kind: "unix", path: "/run/graphite" },
    target: { kind: "host", host: "far.example", literal: false, service: "2562" },
    sourceMode: 0o660,
    resolveIntervalMs: Number.POSITIVE_INFINITY,
    bind: { kind: "host", host: "127.0.0.2", literal: true, service: "0" },
    forwardSecrecy: "require",
    keepAlive: false,
    proxyProtocol: true,
    maxConnections: 7,
    timeoutMs: 500,
  });
});

test("numbers may have fractions, and 0 means the same as on the command line", () => {
  const [tunnel] = right(`${redis}timeout = 0\nmax-connections = 0\nresolve-interval = 2.5`).tunnels;
  assert.equal(tunnel?.config.timeoutMs, 5_000);
  assert.equal(tunnel?.config.maxConnections, Number.POSITIVE_INFINITY);
  assert.equal(tunnel?.config.resolveIntervalMs, 2_500);
});

test("keys of the process are above all tables", () => {
  const { process } = right(
    `user = "nobody:nogroup"\npid-file = "/run/spiped.pid"\nthreads = 2\nsyslog = true\ncoalescing = false\n${redis}`,
  );
  const expected = { user: "nobody:nogroup", pidFile: "/run/spiped.pid", threads: 2, syslog: true, coalescing: false };
  assert.deepEqual(process, expected);
});

test("[defaults] applies to tunnels that do not override it, wherever it is", () => {
  const { tunnels } = right(`${redis}timeout = 2\n[defaults]\ntimeout = 9\nkeep-alive = false\n${graphite}`);
  assert.deepEqual(
    tunnels.map(({ config: { timeoutMs, keepAlive } }) => [timeoutMs, keepAlive]),
    [
      [2_000, false],
      [9_000, false],
    ],
  );
});

test("a tunnel's own key overrides a default that contradicts it, or turns it off", () => {
  const defaults = "[defaults]\nrequire-forward-secrecy = true\nresolve-once = true\n";
  const [first, second] = right(
    `${defaults}${redis}without-forward-secrecy = true\nresolve-interval = 1\n${graphite}require-forward-secrecy = false`,
  ).tunnels;
  assert.deepEqual([first?.config.forwardSecrecy, first?.config.resolveIntervalMs], ["off", 1_000]);
  assert.deepEqual([second?.config.forwardSecrecy, second?.config.resolveIntervalMs], ["allow", Infinity]);
});

test("the files of a folder are read as one", () => {
  const { process, tunnels } = right(`syslog = true\n${redis}`, graphite, "[defaults]\ntimeout = 1");
  assert.deepEqual(process, { syslog: true });
  assert.deepEqual(
    tunnels.map(({ config: { name, timeoutMs } }) => [name, timeoutMs]),
    [
      ["redis", 1_000],
      ["graphite", 1_000],
    ],
  );
});

test("port 0 may be the source of several tunnels", () => {
  const one = (name: string) => `[decrypt.${name}]\nsource = "[::1]:0"\ntarget = "/t"\nkey = "k"\n`;
  assert.equal(right(one("a") + one("b")).tunnels.length, 2);
});

for (const [name, text, mistakes] of [
  ["an empty file", "", ["t.toml: there is no tunnel in it; begin one with [encrypt.NAME] or [decrypt.NAME]"]],
  ["comments only", "# nothing\n", [/no tunnel in it/]],
  ["defaults only", "[defaults]\ntimeout = 1", [/no tunnel in it/]],
  ["an empty [encrypt]", "[encrypt]", [/no tunnel in it/]],
  ["a quote that is missing", 'decrypt.web.source = "/s\n', [/^t\.toml:1: .*closing quote missing\?/]],
  ["text that is not TOML", `${redis}\nsource`, [/^t\.toml:6: /]],
  ["a key twice", `${redis}source = "/s"`, ["t.toml:5: this key, or this table, is there already"]],
  ["a table twice", redis + redis, ["t.toml:5: this key, or this table, is there already"]],
  [
    "a misspelled key",
    `${redis}\nsorce = "/s"`,
    ["t.toml:6: decrypt.redis.sorce: unknown setting; did you mean source?"],
  ],
  [
    "swapped letters",
    `${redis}tiemout = 1`,
    ["t.toml:5: decrypt.redis.tiemout: unknown setting; did you mean timeout?"],
  ],
  [
    "an underscore",
    `${redis}max_connections = 1`,
    ["t.toml:5: decrypt.redis.max_connections: unknown setting; did you mean max-connections?"],
  ],
  ["capitals", `${redis}Timeout = 1`, ["t.toml:5: decrypt.redis.Timeout: unknown setting; did you mean timeout?"]],
  ["an unknown key", `${redis}color = 1`, [/^t\.toml:5: decrypt\.redis\.color: unknown setting; there are source,/]],
  [
    "a misspelled key of the process",
    `treads = 2\n${redis}`,
    ["t.toml:1: treads: unknown setting; did you mean threads?"],
  ],
  ["a short name", `${redis}o = 5`, ["t.toml:5: decrypt.redis.o: write its long name, timeout"]],
  [
    "a negated flag",
    `${redis}no-keep-alive = true`,
    ["t.toml:5: decrypt.redis.no-keep-alive: write keep-alive = false"],
  ],
  [
    "a key of a tunnel above all tables",
    `timeout = 5\n${redis}`,
    ["t.toml:1: timeout: it belongs to a tunnel; write it below [encrypt.NAME], [decrypt.NAME] or [defaults]"],
  ],
  [
    "a key of the process in a tunnel",
    `${redis}user = "nobody"`,
    ["t.toml:5: decrypt.redis.user: it counts for the whole process; write it above all tables"],
  ],
  [
    "a key of the process in [defaults]",
    `${redis}[defaults]\nsyslog = true`,
    [/^t\.toml:6: defaults\.syslog: .*above all/],
  ],
  [
    "a source in [defaults]",
    `${redis}[defaults]\nsource = "/s"`,
    [/^t\.toml:6: defaults\.source: .*each tunnel has its own/],
  ],
  ["a flag of the command line", `foreground = true\n${redis}`, [/^t\.toml:1: foreground: .*command line only$/]],
  ["itself", `config = "t.toml"\n${redis}`, [/^t\.toml:1: config: .*command line only$/]],
  ["the help", `help = true\n${redis}`, [/^t\.toml:1: help: .*command line only$/]],
  ["a role as a key", `encrypt = true\n${redis}`, ["t.toml:1: encrypt: write [encrypt.NAME]"]],
  [
    "a role as a key of a tunnel",
    `${redis}encrypt = true`,
    [/^t\.toml:5: decrypt\.redis\.encrypt: a tunnel is a table: /],
  ],
  [
    "a tunnel without a role",
    '[redis]\nsource = "/s"',
    ["t.toml:1: redis: a tunnel is [encrypt.redis] or [decrypt.redis]"],
  ],
  [
    "a misspelled role",
    redis.replace("decrypt", "decript"),
    ["t.toml:1: decript: unknown table; did you mean decrypt?"],
  ],
  [
    "a tunnel without a name",
    redis.replace(".redis", ""),
    ["t.toml:1: decrypt: the tunnel has no name; write [decrypt.NAME] above source, target, key"],
  ],
  [
    "two brackets",
    redis.replace("[decrypt.redis]", "[[decrypt.redis]]"),
    [/^t\.toml:1: decrypt\.redis: write \[decrypt\.redis\], with one/],
  ],
  ["a list of roles", "[[decrypt]]", [/^t\.toml:1: decrypt: write one bracket, not two$/]],
  [
    "a name with a space",
    redis.replace("redis", '"a b"'),
    ['t.toml:1: decrypt."a b": a name has 1 to 64 letters, digits, dots, hyphens and underscores of ASCII'],
  ],
  ["an empty name", redis.replace("redis", '""'), [/^t\.toml:1: decrypt\."": a name has/]],
  ["a name with a quotation mark", redis.replace("redis", `'a"b'`), [/^t\.toml:1: decrypt\."a\\"b": a name has/]],
  ["a name of two lines", redis.replace("redis", '"a\\nb"'), [/^t\.toml:1: decrypt\."a\\nb": a name has/]],
  ["a name that is too long", redis.replace("redis", "x".repeat(65)), [/: a name has 1 to 64/]],
  [
    "a name with a dot outside quotation marks",
    redis.replace("redis", "redis.eu"),
    ['t.toml:1: decrypt.redis.eu: a name with a dot stands in quotation marks: [decrypt."redis.eu"]'],
  ],
  [
    "one name for two roles",
    redis + redis.replace("decrypt", "encrypt").replace("6380", "1"),
    ["t.toml:5: encrypt.redis: there is [decrypt.redis] already; give each tunnel a name of its own"],
  ],
  [
    "a tunnel without anything",
    "[decrypt.a]",
    [
      "t.toml:1: decrypt.a: source is missing",
      "t.toml:1: decrypt.a: target is missing",
      "t.toml:1: decrypt.a: key is missing",
    ],
  ],
  [
    "a number as a text",
    `${redis}timeout = "5"`,
    ["t.toml:5: decrypt.redis.timeout: a number is needed, and this is a text"],
  ],
  [
    "a text as a number",
    redis.replace('"[::1]:6380"', "6380"),
    ["t.toml:2: decrypt.redis.source: a text in quotation marks is needed, and this is a number"],
  ],
  [
    "a text for true",
    `${redis}resolve-once = "yes"`,
    ["t.toml:5: decrypt.redis.resolve-once: true or false is needed, and this is a text"],
  ],
  ["a number for true", `${redis}keep-alive = 1`, [/keep-alive: true or false is needed, and this is a number$/]],
  [
    "a date",
    redis.replace('"/etc/spiped/redis.key"', "2026-01-01"),
    [/^t\.toml:4: decrypt\.redis\.key: .* this is a date$/],
  ],
  ["a list", redis.replace('"/etc/spiped/redis.key"', '["a", "b"]'), [/decrypt\.redis\.key: .* this is a list$/]],
  ["a table", redis.replace('"/etc/spiped/redis.key"', "{ a = 1 }"), [/decrypt\.redis\.key: .* this is a table$/]],
  ["an empty text", redis.replace("/etc/spiped/redis.key", ""), ["t.toml:4: decrypt.redis.key: it is empty"]],
  ["a zero byte", redis.replace("/etc/spiped", "\\u0000"), ["t.toml:4: decrypt.redis.key: it holds a zero byte"]],
  [
    "standard input as a key",
    redis.replace("/etc/spiped/redis.key", "-"),
    [/^t\.toml:4: decrypt\.redis\.key: standard input has no place/],
  ],
  [
    "an address without a port",
    redis.replace("[::1]:6380", "host"),
    [/^t\.toml:2: decrypt\.redis\.source: bad address "host": the port is missing; add the port: host:PORT/],
  ],
  ["a target with port 0", redis.replace(":6379", ":0"), [/^t\.toml:3: decrypt\.redis\.target: bad address .* port 0/]],
  ["a bind that is a path", `${redis}bind = "/b"`, [/^t\.toml:5: decrypt\.redis\.bind: .*UNIX socket/]],
  [
    "a negative time",
    `${redis}timeout = -1`,
    [/^t\.toml:5: decrypt\.redis\.timeout: bad number of seconds for timeout: "-1"; write seconds as a number from 0/],
  ],
  ["an infinite time", `${redis}timeout = inf`, [/decrypt\.redis\.timeout: bad number of seconds/]],
  ["a time that is not a number", `${redis}timeout = nan`, [/decrypt\.redis\.timeout: bad number of seconds/]],
  [
    "a count that is not whole",
    `${redis}max-connections = 1.5`,
    [/decrypt\.redis\.max-connections: bad number for max-connections: "1\.5"/],
  ],
  ["a count that is too large", `${redis}max-connections = 9007199254740993`, [/^t\.toml:5: /]],
  [
    "permissions as a number",
    `${redis}source-mode = 0o660`,
    ['t.toml:5: decrypt.redis.source-mode: write it in quotation marks, "0660" say'],
  ],
  ["bad permissions", `${redis}source-mode = "999"`, [/decrypt\.redis\.source-mode: bad permissions/]],
  [
    "flags that contradict each other",
    `${redis}without-forward-secrecy = true\nrequire-forward-secrecy = true`,
    [
      "t.toml:6: decrypt.redis.require-forward-secrecy: without-forward-secrecy and require-forward-secrecy exclude each other; take one of them",
    ],
  ],
  [
    "defaults that contradict each other",
    `${redis}[defaults]\nresolve-interval = 5\nresolve-once = true`,
    [/^t\.toml:7: defaults\.resolve-once: resolve-interval and resolve-once exclude/],
  ],
  [
    "two tunnels on one address",
    redis + redis.replace("redis", "other"),
    ["t.toml:6: decrypt.other.source: decrypt.redis listens on [::1]:6380 already"],
  ],
  [
    "a tunnel to itself",
    redis.replace("[127.0.0.1]:6379", "[::1]:6380"),
    ["t.toml:3: decrypt.redis.target: it is the tunnel's own source"],
  ],
  [
    "many mistakes",
    `nonsense = 1\n${redis}timeout = "x"\nfoo = 1\n[encrypt.b]\nsource = ""`,
    [
      /^t\.toml:1: nonsense: /,
      /^t\.toml:6: decrypt\.redis\.timeout: /,
      /^t\.toml:7: decrypt\.redis\.foo: /,
      "t.toml:8: encrypt.b: target is missing",
      "t.toml:8: encrypt.b: key is missing",
      "t.toml:9: encrypt.b.source: it is empty",
    ],
  ],
  [
    "a key that JavaScript knows",
    `${redis}__proto__ = 1\nconstructor = 2`,
    [/redis\.__proto__: unknown setting;/, /redis\.constructor: unknown setting;/],
  ],
  ["a table that JavaScript knows", "[__proto__]\na = 1", [/__proto__: a tunnel is/]],
] as const satisfies ReadonlyArray<readonly [string, string, readonly (string | RegExp)[]]>) {
  test(`${name}: ${mistakes.length === 1 ? "one mistake is reported" : `${mistakes.length} mistakes are reported`}`, () => {
    const found = mistakesOf(text);
    assert.equal(found.length, mistakes.length, found.join("\n"));
    for (const [at, expected] of mistakes.entries()) {
      if (typeof expected === "string") assert.equal(found[at], expected);
      else assert.match(found[at] ?? "", expected);
    }
  });
}

for (const name of ["a", "A-b_c.d", "0", "toString", "constructor", "x".repeat(64)]) {
  test(`${JSON.stringify(name)} is a valid tunnel name`, () => {
    assert.equal(right(redis.replace("redis", JSON.stringify(name))).tunnels[0]?.config.name, name);
  });
}

test("a mistake after values that span lines has the right line", () => {
  const long = 'key = """\n/etc/\\\n  spiped/k"""\n';
  const text = redis.replace(/^key.*\n/m, long);
  assert.equal(right(text).tunnels[0]?.keyFile, "/etc/spiped/k");
  assert.deepEqual(mistakesOf(`${text}sorce = 1`), [
    "t.toml:7: decrypt.redis.sorce: unknown setting; did you mean source?",
  ]);
  assert.deepEqual(mistakesOf(text.replace("key =", "kye =")), [
    "t.toml:4: decrypt.redis.kye: unknown setting; did you mean key?",
  ]);
});

test("Windows line endings are accepted", () => {
  assert.deepEqual(mistakesOf(`${redis}sorce = 1`.replaceAll("\n", "\r\n")), [
    "t.toml:5: decrypt.redis.sorce: unknown setting; did you mean source?",
  ]);
});

test("a mistake in a folder names its file, and a duplicate names both files", () => {
  assert.deepEqual(
    mistakesOf(redis, redis, `[defaults]\ntimeout = 1\n${graphite}sorce = 1`, "[defaults]\ntimeout = 2"),
    [
      "t/1.toml:1: decrypt.redis: t/0.toml has a tunnel of this name already",
      "t/1.toml:2: decrypt.redis.source: decrypt.redis listens on [::1]:6380 already",
      "t/2.toml:7: encrypt.graphite.sorce: unknown setting; did you mean source?",
      "t/3.toml:2: defaults.timeout: t/2.toml has it already",
    ],
  );
});

test("a folder with an unreadable file is not reported to have no tunnel", () => {
  assert.deepEqual(mistakesOf("x", "# nothing").length, 1);
  const unread = { file: "t/a.toml", line: undefined, path: [], message: "cannot be read" };
  const checked = checkTexts("t", { texts: [{ path: "t/b.toml", text: "" }], mistakes: [unread] });
  assert.deepEqual(checked, { kind: "wrong", mistakes: [unread], count: 1 });
});

test("the first of many mistakes are reported, and the number of the others, quickly", () => {
  const wrong = (file: string) => ({
    path: file,
    text: `[decrypt.${file}]\n${Array.from({ length: 5_000 }, (_none, at) => `sorce${at} = 1\n`).join("")}`,
  });
  const tables = Array.from({ length: 5_000 }, (_none, at) => `[decrypt.t${at}]\nsorce = 1\n`).join("");
  const texts = [...["a", "b", "c", "d"].map(wrong), { path: "e", text: tables }];
  const begun = process.cpuUsage();
  const checked = checkTexts("folder", { texts, mistakes: [] });
  const { user } = process.cpuUsage(begun);
  assert.ok(checked.kind === "wrong");
  assert.equal(checked.mistakes.length, 21);
  assert.equal(checked.mistakes[0].line, 2);
  const more = `folder: and at least ${checked.count - 20} more; correct these first`;
  assert.equal(textOf(checked.mistakes[20] ?? checked.mistakes[0]), more);
  assert.ok(checked.count >= 5_000, `${checked.count}`);
  // Making a message and finding a line for every mistake would take five times as long.
  assert.ok(user < 2_000_000, `${user} us`);
});
