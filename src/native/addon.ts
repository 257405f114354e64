/**
 * The client's side of a handshake. Its steps, in this order: `receiveNonce`, `macedPublic`, `verify`,
 * `deriveKeys`.
 */
export declare class ClientHandshake {
  /** Begins a handshake with a fresh random nonce, or with a given one: for known-answer tests. */
  constructor(key: SharedKey, forwardSecrecy: ForwardSecrecy, nonceC?: Uint8Array | undefined | null)
  /** `nonce_C`, 32 bytes, to be sent at once. */
  get nonce(): Uint8Array
  /** Takes `nonce_S`, 32 bytes. */
  receiveNonce(nonceS: Uint8Array): void
  /** `y_C ‖ h_C`, 288 bytes, to be sent. Takes over what `keyPair` holds. */
  macedPublic(keyPair: KeyPair): Uint8Array
  /** The same with x = 0, y = 1: with forward secrecy "off". */
  macedPublicWithoutForwardSecrecy(): Uint8Array
  /** Checks the server's `y_S ‖ h_S`, 288 bytes. */
  verify(macedPublic: Uint8Array): void
  /** The packets' keys, derived on the thread pool. The last step. */
  deriveKeys(): Promise<SessionKeys>
  /**
   * The packets' keys, derived on the spot: with forward secrecy "off", where there is no exponentiation to keep
   * off the event loop.
   */
  deriveKeysNow(): SessionKeys
  /** Wipes what the handshake holds. */
  destroy(): void
}

/** Closes a descriptor when it is told to, or when its environment ends before: a worker that is terminated, say. */
export declare class DescriptorGuard {
  /** The descriptor belongs to this from now on. */
  constructor(descriptor: number)
  /** Closes it, once. */
  close(): void
}

/** What has come of opening or reading a key file. */
export declare class KeyFile {
  get state(): KeyFileState
  /** The name of the `errno`, such as `ENOENT`. */
  get failure(): string | null
  /** What the system says about `failure`. */
  get failureText(): string | null
  /** Null where the system does not even say what it is. */
  get kind(): KeyFileKind | null
  /** Its permissions; null on Windows. */
  get mode(): number | null
  /** Its owner; null on Windows. */
  get uid(): number | null
  /**
   * Which file it is, and how it was when it was written to last: the same under another name, and for who may not
   * read it. Null where that cannot be told, as on Windows.
   */
  get identity(): string | null
  /** Whether the path leads to a descriptor of this process, as `/dev/stdin` and `/dev/fd/63` do. */
  get namesDescriptor(): boolean
  /** How many bytes were read. */
  get lengthBytes(): number
  /** Whether a file was written to while it was read. */
  get hasChanged(): boolean
  get contents(): KeyContents
  /** The key; null where there is none, as after an empty file, and the second time. */
  takeKey(): SharedKey | null
  /** The close-on-exec descriptor of a file that was opened and not read. The caller owns it; null the second time. */
  takeDescriptor(): number | null
}

/** Makes the shared key of a key file that is read in pieces. There is none of an empty file. */
export declare class KeyHasher {
  constructor()
  /** Takes the next piece, of any length. The caller wipes it. */
  update(piece: Uint8Array): void
  /**
   * The SHA-256 of all pieces. Uses the hasher up.
   *
   * Differs from spiped: of no bytes there is no key, since everybody would know it.
   */
  finish(): SharedKey
  /** Wipes what has been taken. */
  destroy(): void
}

/** x and y of one side and one connection. */
export declare class KeyPair {
  /** A fresh random pair, made on the thread pool. */
  static generate(): Promise<KeyPair>
  /** x = 0, y = 1: for a handshake with forward secrecy "off". */
  static withoutForwardSecrecy(): KeyPair
  /** The pair of a given x, 32 bytes, big-endian, made on the thread pool: for known-answer tests. */
  static fromExponent(x: Uint8Array): Promise<KeyPair>
  /** Wipes x. */
  destroy(): void
}

/** The keys of a server, one of which a client must have; those used most recently are tried first. */
export declare class KeySet {
  /** The keys may be destroyed afterwards; the set keeps what it needs. */
  constructor(keys: Array<SharedKey>)
  /** Lets go of all keys; each is wiped when no handshake needs it any more. */
  destroy(): void
}

/** A small file that one process holds for as long as it lives. */
export declare class LockedFile {
  /**
   * Opens or makes the file at `path`, mode 0644 less the umask, and takes hold of it unless somebody else has.
   *
   * Throws `ELOOP` for a link, `EISDIR` for a folder, `ENXIO` for anything else that is no regular file, `EMLINK`
   * for a file that has other names, and `EPERM` for one that belongs neither to this process's user nor to the
   * superuser: whoever may write to the folder could have put them there.
   */
  constructor(path: Uint8Array)
  /** False where another process holds it. */
  get isHeld(): boolean
  /** True where it was not there before. */
  get isNew(): boolean
  /** The first bytes of what is in it. */
  read(): string
  /** Replaces what is in it. */
  write(text: string): void
  /** Lets go of it; another process may take it from now on. */
  release(): void
  /** Takes hold of it again. False where another process has it. */
  holdAgain(): boolean
  /** Removes it, unless something else has taken its place. */
  remove(): void
}

/** Writes lines to standard error without ever making the caller wait. */
export declare class LogWriter {
  /** A writer of lines, which holds up to `max_waiting_bytes` of lines that nobody has taken yet. */
  constructor(maxWaitingBytes: number)
  /**
   * What the line looks like that says how many were lost, with its line break: `{lost}` in it stands for their number,
   * and `{time}` for the time, ISO 8601 in UTC.
   */
  setLostLine(line: string): void
  /**
   * Takes one line, with its line break, to be written as soon as can be. A line for which there is no room is lost;
   * the next one that is written says how many were.
   */
  write(line: string): void
  /** Waits until all lines are written, but no longer than `timeout_ms`. True when they are. */
  flush(timeoutMs: number): boolean
}

/** Sends to the socket of a service manager and never waits for it. */
export declare class NotifySocket {
  /** `path` is that of a UNIX socket; one that begins with a zero byte is the name of an abstract one. */
  constructor(path: Uint8Array)
  /**
   * Sends `message`, whole or not at all. Throws where nobody is there, and `EAGAIN` or `ENOBUFS` where the manager
   * does not keep up.
   */
  send(message: Uint8Array): void
}

/** Gets one direction's data back out of its packets. */
export declare class Opener {
  /** An opener of given keys, 32 bytes each, and first packet number: for known-answer tests. */
  static fromKeys(encryptionKey: Uint8Array, macKey: Uint8Array, packetNumber: bigint): Opener
  /**
   * Opens the packets that `ciphertext` completes and keeps the beginning of the next.
   * `maxOpenedLength(ciphertext.length)` bytes are always enough for `out`, which must not overlap
   * `ciphertext`. Returns the bytes written.
   */
  open(ciphertext: Uint8Array, out: Uint8Array): number
  /** How many bytes of an incomplete packet are held, 0 to 1,059. */
  get pendingBytes(): number
  /** Wipes the keys. */
  destroy(): void
}

/** Threads that move packets between sockets. */
export declare class Relay {
  /** Starts the threads. `ended` is told once of each connection's end; it keeps no process alive. */
  constructor(threads: number, coalescing: boolean, budgetBytes: number, ended: (id: number, end: RelayEnd | null) => void)
  /**
   * Takes over two descriptors of connected stream sockets, and what `keys` holds. `encrypts`: cleartext comes
   * in at the source. The descriptors are the relay's from now on, whatever happens.
   */
  handOver(id: number, encrypts: boolean, source: number, target: number, keys: SessionKeys): RelayedConnection
  /** Bytes that wait in memory for full receivers, of all connections together. */
  get heldBytes(): number
}

/** A connection that was handed over. */
export declare class RelayedConnection {
  /** Bytes of cleartext from the source to the target so far. */
  get bytesForward(): number
  /** Bytes of cleartext from the target to the source so far. */
  get bytesReverse(): number
  /** Moves no more bytes, and wipes the keys. */
  stop(): void
  /** Closes or resets the source, as soon as the relay no longer uses it. */
  endSource(resets: boolean): void
  /** Closes or resets the target, as soon as the relay no longer uses it. */
  endTarget(resets: boolean): void
}

/** Makes packets of one direction's data. */
export declare class Sealer {
  /** A sealer of given keys, 32 bytes each, and first packet number: for known-answer tests. */
  static fromKeys(encryptionKey: Uint8Array, macKey: Uint8Array, packetNumber: bigint): Sealer
  /**
   * Seals at least 1 byte into whole packets. `out` needs `sealedLength(plaintext.length)` bytes and must
   * not overlap `plaintext`. Returns the bytes written, a multiple of 1,060.
   */
  seal(plaintext: Uint8Array, out: Uint8Array): number
  /** Wipes the keys. */
  destroy(): void
}

/**
 * The server's side of a handshake. Its steps, in this order: `receiveNonce`, `verify`, `macedPublic`,
 * `deriveKeys`.
 */
export declare class ServerHandshake {
  /** Begins a handshake with one key or several, and a fresh random nonce, or a given one: for known-answer tests. */
  constructor(keys: SharedKey | KeySet, forwardSecrecy: ForwardSecrecy, nonceS?: Uint8Array | undefined | null)
  /** `nonce_S`, 32 bytes, to be sent at once. */
  get nonce(): Uint8Array
  /** Takes `nonce_C`, 32 bytes. */
  receiveNonce(nonceC: Uint8Array): void
  /** Checks the client's `y_C ‖ h_C`, 288 bytes. */
  verify(macedPublic: Uint8Array): void
  /**
   * Which of the set's keys the client has, as soon as its MAC was found right, whatever was wrong with its `y_C`; null
   * before.
   */
  get keyIndex(): number | null
  /** `y_S ‖ h_S`, 288 bytes, to be sent. Takes over what `keyPair` holds. */
  macedPublic(keyPair: KeyPair): Uint8Array
  /** The same with x = 0, y = 1: with forward secrecy "off". */
  macedPublicWithoutForwardSecrecy(): Uint8Array
  /** The packets' keys, derived on the thread pool. The last step. */
  deriveKeys(): Promise<SessionKeys>
  /**
   * The packets' keys, derived on the spot: with forward secrecy "off", where there is no exponentiation to keep
   * off the event loop.
   */
  deriveKeysNow(): SessionKeys
  /** Wipes what the handshake holds. */
  destroy(): void
}

/** The packets' keys, as a sealer and an opener that are taken once each. */
export declare class SessionKeys {
  /** Seals the first data of this side, as `Sealer.seal` does. Whoever takes the sealer goes on behind it. */
  sealFirst(plaintext: Uint8Array, out: Uint8Array): number
  /** The sealer of what this side sends. */
  takeSealer(): Sealer
  /** The opener of what this side receives. */
  takeOpener(): Opener
  /** Wipes what has not been taken. */
  destroy(): void
}

/** K, the secret that both ends share, for any number of handshakes. */
export declare class SharedKey {
  /** 8 bytes that tell keys apart, and that may be shown. */
  id(): Uint8Array
  /** Whether both are made of the same key file. */
  isSame(other: SharedKey): boolean
  /** Lets go of K; it is wiped when no handshake, and no set of keys, needs it any more. */
  destroy(): void
}

/** The file of a UNIX socket. */
export declare class SocketFile {
  /** The file at `path`, which need not be there. Its folder is held until `listen` fails or the file is removed. */
  constructor(path: Uint8Array)
  /**
   * A descriptor that listens: non-blocking, close-on-exec. The caller owns it.
   *
   * A socket file that nobody answers on is replaced, one that somebody answers on is not. `mode` are the
   * permissions of the new file, from its first moment; without it the umask decides.
   */
  listen(backlog: number, mode?: number | undefined | null): number
  /**
   * Gives the file that `listen` has made to a user and a group; without one of them, that stays as it is.
   *
   * @returns False where the system has no way to do that to this very file: by its name it can be another one, which
   * somebody who may write to the folder has put there.
   */
  give(user?: number | undefined | null, group?: number | undefined | null): boolean
  /** Removes the file, unless something else has taken its place, and lets go of its folder. */
  remove(): void
}

/** Sockets that are being accepted, dialled and shaken hands with. Numbers stand for them. */
export declare class Sockets {
  /** `ready` is called when `poll` has something to tell. Throws where the event loop cannot watch. */
  constructor(keepAlive: KeepAliveTimes, ready: () => void)
  /**
   * Watches a socket that listens; the descriptor belongs to this from now on. Gives its number. Of one that is
   * `shared` with others who accept nothing is changed.
   */
  listen(descriptor: number, shared: boolean, keepAlive: boolean, resetsOnClose: boolean): number
  /** Accepts a client, null where none waits; the next one is an event then. */
  accept(listener: number): AcceptedSocket | null
  /** Makes another event of the clients that wait. */
  askAgain(listener: number): void
  /** Begins to connect to a numeric address, and gives the socket's number; how it ends is an event. */
  connect(address: string, port: number, keepAlive: boolean, resetsOnClose: boolean): number
  /** The same for a UNIX socket, whose path is `path`; `EAGAIN` where its backlog is full. */
  connectUnix(path: Uint8Array): number
  /** Sends all of it. */
  send(id: number, bytes: Uint8Array): void
  /** Expects this many bytes; that they have come, or will not, is an event. Nothing behind them is read. */
  expect(id: number, length: number): void
  /** What has come of the bytes that are expected, or were when the stream ended or the socket failed. */
  arrived(id: number): Uint8Array
  /** What waits to be read, at most `length` bytes of it, and stays there. */
  peek(id: number, length: number): Uint8Array
  /**
   * Whether the other side has ended its stream, or the socket has failed, with nothing that waits to be read before
   * that.
   */
  hasEnded(id: number): boolean
  /** Says what the other side sees when the socket is closed, by whomever: a reset or an end. */
  resetOnClose(id: number, resets: boolean): void
  /** Where a socket is bound, null where it is no TCP socket. Throws where the system no longer knows. */
  localAddress(id: number): ResolvedAddress | null
  /** Gives the descriptor of a socket away. */
  take(id: number): number
  /** Closes or resets a socket; closes one that listens. */
  close(id: number, resets: boolean): void
  /**
   * Writes what has happened into `out`, which has room for `eventBytes()`, and gives the bytes written. Each event:
   * the socket's number, a kind, a value, 4 bytes each; then bytes, filled up to a multiple of 4.
   *
   * Kinds: 0, clients wait; 1, connected; 2, the bytes that were expected, as many as the value says; 3, the stream has
   * ended after that many of them; 4, failed, with the number of an `errno`.
   */
  poll(out: Uint8Array): number
}

/** A thread that reads standard input or writes standard output. */
export declare class StreamThread {
  /** JavaScript's end of the socket pair: close-on-exec. The caller owns it. */
  get descriptor(): number
  /**
   * How it ended: 0 for an orderly end, the system's number of an error, or null for a thread that is at work.
   * It is there before the socket pair ends.
   */
  get outcome(): number | null
  /**
   * Says that all has been written, before JavaScript ends its end. Without this word, a socket that goes away
   * is no end of standard output, which may belong to others too.
   */
  endAfterThis(): void
}

/**
 * Sends messages to the system's logger and never waits for it.
 *
 * Datagrams, or, to a logger that takes a stream, messages with a zero byte behind each, as syslog(3) does.
 */
export declare class SyslogSocket {
  /** A socket of its own. */
  constructor()
  /**
   * Sends `message` to the logger at `path`, whole or not at all. Throws where nobody is there, and `EAGAIN` or
   * `ENOBUFS` where the logger does not keep up.
   */
  send(path: string, message: Uint8Array): void
}

/** Looks from time to time whether the other side of a TCP connection acknowledges what it is sent. */
export declare class Vigil {
  constructor()
  /**
   * Whether it has not for as long as keep-alive gives an idle connection. Never where the system does not tell, or
   * there is no keep-alive.
   */
  isVain(descriptor: number): boolean
}

/** A client that was accepted. */
export interface AcceptedSocket {
  id: number
  /** Who it is: `[address]:port`, or the user behind a UNIX socket; null where the system does not tell. */
  peer?: string
}

/** How `descriptor` was opened. */
export declare function accessMode(descriptor: number): AccessMode

/** How a descriptor was opened. */
export interface AccessMode {
  readable: boolean
  writable: boolean
}

/** Whether `count` further threads can run at once. They have ended when this returns. */
export declare function canStartThreads(count: number): boolean

/** The names of the capabilities that the calling thread has, or may come to have; none but on Linux. */
export declare function capabilities(): Array<string>

/** How many descriptors this process may have open. */
export declare function descriptorLimit(): number

/** Takes all capabilities from the calling thread, so that nothing that it starts has any. */
export declare function dropCapabilities(): void

/** A second, close-on-exec descriptor of what `descriptor` stands for. The caller owns it. */
export declare function duplicate(descriptor: number): number

/**
 * Ends standard output for whoever reads it: `/dev/null` takes its place. Throws where the file system tells only
 * now of a write that failed, as network file systems do.
 */
export declare function endStandardOutput(): void

/** The most bytes that `Sockets.poll` writes. */
export declare function eventBytes(): number

/**
 * What one side wants of forward secrecy: "off" gives it up, "allow" goes on when the peer gives it up,
 * "require" does not.
 */
export type ForwardSecrecy = 'off' | 'allow' | 'require'

/**
 * Whether the other side has ended its stream, or the socket has failed, with nothing that waits to be read before that.
 * Nothing is taken from it.
 */
export declare function hasEnded(descriptor: number): boolean

/** Whether a terminal is among standard input, output and error, be it one that has gone. */
export declare function hasTerminal(): boolean

/** What `descriptor` is. From now on no program that this one starts gets it; of the socket nothing is changed. */
export declare function inheritedSocket(descriptor: number): InheritedSocket

/** What an inherited descriptor is. */
export interface InheritedSocket {
  /** `listening`, or why it is no use: `closed`, `no socket`, `no stream`, `not listening`, `unknown family`. */
  state: string
  /** Where a TCP socket listens. */
  tcp?: ResolvedAddress
  /** Where a UNIX socket listens; an abstract name begins with a zero byte. */
  path?: Uint8Array
}

/**
 * Whether two descriptors are one and the same open file: the one inherited or duplicated from the other, not
 * opened twice. Null where the system does not tell.
 */
export declare function isSameOpenFile(process: number, descriptor: number, otherProcess: number, otherDescriptor: number): boolean | null

/** Probes of a silent connection. */
export interface KeepAliveTimes {
  idleSeconds: number
  intervalSeconds: number
  probes: number
}

/** What a key's contents look like. */
export type KeyContents = 'binary' | 'encoded' | 'text'

/** What is at the path, or behind the descriptor. */
export type KeyFileKind = 'file' | 'folder' | 'pipe' | 'socket' | 'device'

/** What to read, and what not. */
export interface KeyFileRequest {
  /** To be read instead of opening the path. It stays the caller's, who leaves it open until the end. */
  descriptor?: number
  /** The most bytes to read. */
  limitBytes: number
  /**
   * Only a file that a path leads to, and that could be read again: no pipe, no device, none of this process's
   * descriptors.
   */
  regularOnly: boolean
  /** Not what standard input is, unless that is a file. */
  exceptStandardInput: boolean
}

/** How far a key file was read. */
export type KeyFileState = 'failed' | 'refused' | 'opened' | 'too-long' | 'read'

/** What has come of listing a folder. */
export interface KeyFolder {
  /** The names in it, in no order; none where it failed. On Windows in UTF-8. */
  names: Array<Uint8Array>
  /** Whether there are more names than were asked for, of which these are some. */
  hasMore: boolean
  /** Whether the path leads to a descriptor of this process, as `/dev/fd/63` does. */
  namesDescriptor: boolean
  /** Its permissions; none where they cannot be told, as on Windows. */
  mode?: number
  /** The name of the `errno`, such as `ENOENT`, and what it means. */
  failure?: string
  failureText?: string
}

/** Puts `/dev/null` in the place of each terminal among standard input, output and error. */
export declare function letGoOfTerminals(): void

/**
 * A descriptor that listens on `address`, numeric, IPv4 or IPv6 with `%scope` where it needs one:
 * non-blocking, close-on-exec, with `SO_REUSEADDR`. The caller owns it.
 *
 * `IPV6_V6ONLY` is left as the system has it, as spiped does.
 */
export declare function listenTcp(address: string, port: number, backlog: number): number

/** Lists a folder, up to `mostNames` of them, and calls back with what has come of it, an error too. */
export declare function listKeyFolder(path: string | Uint8Array, mostNames: number, done: (folder: KeyFolder) => void): void

/** Where a TCP socket is bound, null where it is of another kind. Throws where the system no longer knows. */
export declare function localAddress(descriptor: number): ResolvedAddress | null

/** What a look-up has come to. */
export interface LookedUp {
  /** In the system's order; none where it failed. */
  addresses: Array<ResolvedAddress>
  /** Why it failed, in the resolver's own words. */
  failure?: string
}

/** The number of the group with this name, or else with this number; null when there is none. */
export declare function lookUpGroup(group: string): number | null

/** The user with this name, or else with this number; null when there is none. */
export declare function lookUpUser(user: string): UserAccount | null

/** The most data that opening `ciphertextLength` bytes can give, whatever the opener holds. */
export declare function maxOpenedLength(ciphertextLength: number): number

/**
 * Gives this process the name under which `pidof` and `pgrep` look for it. To be called on the main thread, whose name
 * is the process's. Linux only; elsewhere it stays that of the program file.
 */
export declare function nameProcess(name: string): void

/**
 * Opens a key file as `readKeyFile` does, or a folder, and leaves the reading to whom its descriptor is given. A
 * descriptor that the path leads to is not handed down to other processes from then on.
 */
export declare function openKeyFile(path: string | Uint8Array, done: (keyFile: KeyFile) => void): void

/**
 * The other side of a TCP connection, null where the socket is of another kind or the system no longer knows.
 *
 * Linux still knows it of a connection that has been reset meanwhile, though `getpeername` does not tell.
 */
export declare function peerAddress(descriptor: number): ResolvedAddress | null

/**
 * Keeps the memory of this process from others for good: no core dump, not for the superuser either, and no tracing
 * or reading by other processes of the same user. macOS has the limit for core dumps only.
 *
 * A change of the user takes the rest back on Linux, so it has to be asked for again after that.
 */
export declare function protectMemory(): void

/**
 * Reads a key file, on a thread of its own, and calls back with what has come of it, an error too. Where nothing
 * comes, it never calls back.
 */
export declare function readKeyFile(path: string | Uint8Array, request: KeyFileRequest, done: (keyFile: KeyFile) => void): void

/** Begins to read standard input to its end. */
export declare function readStandardInput(): StreamThread

/** How a relayed connection ended, where not in an orderly way. */
export interface RelayEnd {
  /** `truncated`, `rejected`, `broken`, `cancelled` or `failed`. */
  kind: string
  /** `source` or `target`, where one of them is `broken`. */
  side?: string
  /** The code of the error: the name of an `errno`, or one of the core's; none of a mistake of this program. */
  code?: string
  /** What is to be said of it. */
  message?: string
  /** Bytes of a packet that was cut, where it is `truncated`. */
  pendingBytes?: number
}

/**
 * Looks up the stream addresses of `host` and `service`, a number or a name, and calls `done` once.
 *
 * Runs on a thread of its own. A silent name server holds it up for a minute; on Node.js's thread pool it would
 * hold up key exchanges too, and the end of the process, which waits for that pool.
 */
export declare function resolve(host: string, service: string, done: (found: LookedUp) => void): void

/** One address of a name. */
export interface ResolvedAddress {
  /** 4 or 6. */
  family: number
  /** The number, with `%scope` where it needs one. */
  address: string
  port: number
}

/** The address that `host` and `service` are where both are numbers. It asks nobody, so it does not wait. */
export declare function resolveNumeric(host: string, service: string): ResolvedAddress

/** How many bytes `plaintextLength` bytes are once sealed. */
export declare function sealedLength(plaintextLength: number): number

/**
 * Has the system probe a TCP connection: first after `idle_seconds` of silence, then every `interval_seconds`, and
 * give it up when `probes` of them were not answered.
 */
export declare function setKeepAlive(descriptor: number, idleSeconds: number, intervalSeconds: number, probes: number): void

/**
 * Says what the other side of a TCP connection sees when the socket is closed, by whomever: a reset at once, or an
 * end after all data. A UNIX socket takes it and does nothing.
 */
export declare function setResetOnClose(descriptor: number, resets: boolean): void

/**
 * The name of the error that a socket has met and nobody has been told of yet, null where there is none.
 * Asking clears it.
 */
export declare function takeSocketError(descriptor: number): string | null

/** The process on the other side of a UNIX socket, null where the system does not tell. */
export declare function unixPeer(descriptor: number): UnixPeer | null

/** Who has connected to a UNIX socket. */
export interface UnixPeer {
  uid: number
  /** Where the system tells; the process may be another's by now. */
  pid?: number
}

/** A user of this system. */
export interface UserAccount {
  uid: number
  /** The user's login group. */
  gid: number
}

/**
 * Begins to write what comes to standard output; at the end of the whole, standard output ends too, as with
 * `end_standard_output`. The other way, nothing comes but the end, once all is written or nothing more can be.
 */
export declare function writeStandardOutput(): StreamThread
