// Generated from crates/spiped-napi by scripts/build-addon.mjs. Do not edit.

/** The client's side of a handshake. Its steps, in order: `receiveNonce`, `macedPublic`, `verify`, `deriveKeys`. */
export declare class ClientHandshake {
  /** Starts a handshake with a fresh random nonce, or with `nonceC`, 32 bytes, in known-answer tests. */
  constructor(key: SharedKey, forwardSecrecy: ForwardSecrecy, nonceC?: Uint8Array | undefined | null)
  /** `nonce_C`, 32 bytes: send it at once. */
  get nonce(): Uint8Array
  /** Takes the server's `nonce_S`, 32 bytes. */
  receiveNonce(nonceS: Uint8Array): void
  /** Returns `y_C ‖ h_C`, 288 bytes, to send. Uses up `keyPair`. */
  macedPublic(keyPair: KeyPair): Uint8Array
  /** The same with x = 0, y = 1, for forward secrecy "off". */
  macedPublicWithoutForwardSecrecy(): Uint8Array
  /**
   * Checks the server's `y_S ‖ h_S`, 288 bytes. Throws `SPIPED_WRONG_MAC`, `SPIPED_SAME_ROLE`,
   * `SPIPED_DH_OUT_OF_RANGE` or `SPIPED_FORWARD_SECRECY_REQUIRED`.
   */
  verify(macedPublic: Uint8Array): void
  /** Derives the packet keys, on the thread pool. The last step. */
  deriveKeys(): Promise<SessionKeys>
  /** Derives the packet keys synchronously, for forward secrecy "off", which needs no expensive exponentiation. */
  deriveKeysNow(): SessionKeys
  /** Wipes the secrets of the handshake. */
  destroy(): void
}

/** Detects that the peer of a TCP connection has vanished while data was unacknowledged. */
export declare class DeadPeerDetector {
  constructor()
  /**
   * Whether the peer acknowledged nothing new for as long as keep-alive grants an idle connection. Always false if
   * the system does not tell, or without keep-alive. Call it from time to time, always with the same socket.
   */
  isDead(descriptor: number): boolean
}

/** Closes a descriptor on request, or at the latest when its environment ends, as when a worker is terminated. */
export declare class DescriptorGuard {
  /** Takes ownership of `descriptor`. */
  constructor(descriptor: number)
  /** Closes the descriptor, unless that has happened. */
  close(): void
}

/** The result of opening or reading a key file. */
export declare class KeyFile {
  get state(): KeyFileState
  /** The name of the `errno`, such as `ENOENT`. */
  get failure(): string | null
  /** The meaning of `failure`. */
  get failureText(): string | null
  /** Null if the system does not tell. */
  get kind(): KeyFileKind | null
  /** Its permissions; null on Windows. */
  get mode(): number | null
  /** Its owner; null on Windows. */
  get uid(): number | null
  /**
   * Identifies the file and its last modification, whatever its name, and even if it may not be read. Null if the
   * system does not tell, as on Windows.
   */
  get identity(): string | null
  /** Whether the path names a descriptor of this process, as `/dev/stdin` and `/dev/fd/63` do. */
  get namesDescriptor(): boolean
  /** The number of bytes read. */
  get lengthBytes(): number
  /** Whether the file was modified while it was read. */
  get hasChanged(): boolean
  get contents(): KeyContents
  /** Takes the key; null if there is none, as for an empty file, and on a second call. */
  takeKey(): SharedKey | null
  /**
   * Takes the close-on-exec descriptor of a file that was opened and not read; null on a second call. The caller
   * owns it.
   */
  takeDescriptor(): number | null
}

/** Hashes a key file, piece by piece, into a shared key. An empty file gives no key. */
export declare class KeyHasher {
  constructor()
  /** Hashes the next piece, of any length. The caller wipes it. */
  update(piece: Uint8Array): void
  /**
   * Returns K, the SHA-256 of all pieces, and uses up the hasher. Throws `SPIPED_KEY_FILE` if there were no bytes.
   *
   * Differs from spiped, which accepts an empty key file, although everybody knows its key.
   */
  finish(): SharedKey
  /** Wipes the state of the hash. */
  destroy(): void
}

/** The Diffie-Hellman key pair x, y of one side of one connection. */
export declare class KeyPair {
  /** Generates a random pair, on the thread pool. */
  static generate(): Promise<KeyPair>
  /** The pair x = 0, y = 1, for forward secrecy "off". */
  static withoutForwardSecrecy(): KeyPair
  /** Computes the pair for a given x, 32 bytes, big-endian, on the thread pool. For known-answer tests. */
  static fromExponent(x: Uint8Array): Promise<KeyPair>
  /** Wipes x. */
  destroy(): void
}

/** The keys that a server accepts. The most recently used are tried first. */
export declare class KeySet {
  /** The set keeps its own references: the keys may be destroyed afterwards. */
  constructor(keys: Array<SharedKey>)
  /** Releases all keys; each is wiped as soon as no handshake uses it. */
  destroy(): void
}

/** A small file that one process keeps locked while it lives. */
export declare class LockedFile {
  /**
   * Opens the file at `path`, or creates it with mode 0644 less the umask, and locks it unless another process has.
   *
   * Throws `ELOOP` for a symbolic link, `EISDIR` for a folder, `ENXIO` for anything else that is not a regular file,
   * `EMLINK` for a file with several names, and `EPERM` for one that belongs neither to this process's user nor to
   * root: anybody with write access to the folder could have planted it.
   */
  constructor(path: Uint8Array)
  /**
   * The state of the file at `path`; null if there is none. Neither creates nor locks it, and so disturbs nobody.
   *
   * Throws the same errors as the constructor.
   */
  static look(path: Uint8Array): LockedFileState | null
  /** False if another process has locked it. */
  get isHeld(): boolean
  /** Whether this created it. */
  get isNew(): boolean
  /** Its first 64 bytes, as text. */
  read(): string
  /** Replaces its contents. */
  write(text: string): void
  /** Unlocks it; another process may lock it from now on. */
  release(): void
  /** Locks it again. Returns false if another process has locked it. */
  holdAgain(): boolean
  /** Removes it, unless another file has taken its place. */
  remove(): void
}

/** Writes messages to standard error without ever blocking the caller. */
export declare class LogWriter {
  /** A writer that buffers up to `max_waiting_bytes` of messages. */
  constructor(maxWaitingBytes: number)
  /**
   * Sets the message, with its line break, that says how many were lost: `{lost}` stands for their number,
   * `{why}` for the cause, and `{time}` for the time in ISO 8601, UTC.
   */
  setLostLine(line: string): void
  /**
   * Queues one message, with its line break. If there is no room it is lost, and a message says how many were as
   * soon as the others are written.
   */
  write(line: string): void
  /** Waits up to `timeout_ms` until all messages are written. Returns whether they are. */
  flush(timeoutMs: number): boolean
}

/** Sends notifications to a service manager without blocking. */
export declare class NotifySocket {
  /** `path` is the path of a UNIX socket, or, if it starts with a zero byte, the name of an abstract one. */
  constructor(path: Uint8Array)
  /**
   * Sends `message` as one datagram. Throws if nobody receives there, and `EAGAIN` or `ENOBUFS` if the manager does
   * not keep up.
   */
  send(message: Uint8Array): void
}

/** Turns one direction's packets back into data. */
export declare class Opener {
  /** An opener with the given keys, 32 bytes each, and the number of its first packet. For known-answer tests. */
  static fromKeys(encryptionKey: Uint8Array, macKey: Uint8Array, packetNumber: bigint): Opener
  /**
   * Opens the packets that `ciphertext` completes and buffers the start of the next one. `out` needs room for
   * `maxOpenedLength(ciphertext.length)` bytes and must not overlap `ciphertext`. Returns the number of bytes
   * written. Throws `SPIPED_PACKET_MAC`, `SPIPED_PACKET_LENGTH` or `SPIPED_PACKET_NUMBERS_USED_UP`, from then on
   * always.
   */
  open(ciphertext: Uint8Array, out: Uint8Array): number
  /** How many bytes of an incomplete packet are buffered, 0 to 1,059. */
  get pendingBytes(): number
  /** Wipes the keys. */
  destroy(): void
}

/** Threads that move packets between sockets. */
export declare class Relay {
  /** Starts the threads. `ended` is called once for each connection; it does not keep the process alive. */
  constructor(threads: number, coalescing: boolean, budgetBytes: number, ended: (id: number, end: RelayEnd | null) => void)
  /**
   * Takes over two descriptors of connected stream sockets and the keys in `keys`. With `encrypts`, the source sends
   * cleartext; otherwise, packets. The relay owns the descriptors from now on, even if this throws.
   */
  handOver(id: number, encrypts: boolean, source: number, target: number, keys: SessionKeys): RelayedConnection
  /** Bytes buffered for slow receivers, of all connections together. */
  get bufferedBytes(): number
}

/** A connection in the relay. */
export declare class RelayedConnection {
  /** Bytes of cleartext from the source to the target so far. */
  get bytesForward(): number
  /** Bytes of cleartext from the target to the source so far. */
  get bytesReverse(): number
  /** Stops moving bytes and wipes the keys. */
  stop(): void
  /** Closes the source, or resets it with `resets`, as soon as the relay no longer uses it. */
  endSource(resets: boolean): void
  /** Closes the target, or resets it with `resets`, as soon as the relay no longer uses it. */
  endTarget(resets: boolean): void
}

/** Turns one direction's data into packets. */
export declare class Sealer {
  /** A sealer with the given keys, 32 bytes each, and the number of its first packet. For known-answer tests. */
  static fromKeys(encryptionKey: Uint8Array, macKey: Uint8Array, packetNumber: bigint): Sealer
  /**
   * Seals at least 1 byte into whole packets. `out` needs room for `sealedLength(cleartext.length)` bytes and must
   * not overlap `cleartext`. Returns the number of bytes written, a multiple of 1,060.
   */
  seal(cleartext: Uint8Array, out: Uint8Array): number
  /** Wipes the keys. */
  destroy(): void
}

/** The server's side of a handshake. Its steps, in order: `receiveNonce`, `verify`, `macedPublic`, `deriveKeys`. */
export declare class ServerHandshake {
  /**
   * Starts a handshake with one key or a set of keys, and a fresh random nonce, or `nonceS`, 32 bytes, in
   * known-answer tests.
   */
  constructor(keys: SharedKey | KeySet, forwardSecrecy: ForwardSecrecy, nonceS?: Uint8Array | undefined | null)
  /** `nonce_S`, 32 bytes: send it at once. */
  get nonce(): Uint8Array
  /** Takes the client's `nonce_C`, 32 bytes. */
  receiveNonce(nonceC: Uint8Array): void
  /**
   * Checks the client's `y_C ‖ h_C`, 288 bytes. Throws `SPIPED_WRONG_MAC`, `SPIPED_DH_OUT_OF_RANGE` or
   * `SPIPED_FORWARD_SECRECY_REQUIRED`.
   */
  verify(macedPublic: Uint8Array): void
  /**
   * The index of the client's key in the set, once `verify` found its MAC correct, even if it then rejected `y_C`;
   * null before that.
   */
  get keyIndex(): number | null
  /** Returns `y_S ‖ h_S`, 288 bytes, to send. Uses up `keyPair`. */
  macedPublic(keyPair: KeyPair): Uint8Array
  /** The same with x = 0, y = 1, for forward secrecy "off". */
  macedPublicWithoutForwardSecrecy(): Uint8Array
  /** Derives the packet keys, on the thread pool. The last step. */
  deriveKeys(): Promise<SessionKeys>
  /** Derives the packet keys synchronously, for forward secrecy "off", which needs no expensive exponentiation. */
  deriveKeysNow(): SessionKeys
  /** Wipes the secrets of the handshake. */
  destroy(): void
}

/** The packet keys of a connection. The sealer and the opener can be taken once each. */
export declare class SessionKeys {
  /**
   * Seals the first data that this side sends, as `Sealer.seal` does. The sealer continues with the next packet
   * number.
   */
  sealFirst(cleartext: Uint8Array, out: Uint8Array): number
  /** Takes the sealer for what this side sends. */
  takeSealer(): Sealer
  /** Takes the opener for what this side receives. */
  takeOpener(): Opener
  /** Wipes the keys that were not taken. */
  destroy(): void
}

/** K, the secret that both ends share, for any number of handshakes. */
export declare class SharedKey {
  /** 8 bytes that identify the key and are not secret. */
  id(): Uint8Array
  /** Whether both keys are the same, compared in constant time. */
  isSame(other: SharedKey): boolean
  /** Releases K, which is wiped as soon as no handshake and no set of keys uses it. */
  destroy(): void
}

/** The file of a UNIX socket. */
export declare class SocketFile {
  /** The file at `path`, which need not exist. Its folder is kept open until `listen` fails or the file is removed. */
  constructor(path: Uint8Array)
  /**
   * Whether a process has the UNIX socket at `path` open, or may have: this one may not write to it. No listener
   * notices, since a datagram socket cannot connect to it.
   */
  static isBound(path: Uint8Array): boolean
  /**
   * Creates the socket and listens on it. Returns a non-blocking, close-on-exec descriptor, which the caller owns.
   *
   * Replaces a stale socket file, on which nobody listens; throws `EADDRINUSE` for any other file. The file is
   * created with the permissions `mode`, or by default with those that the umask leaves.
   */
  listen(backlog: number, mode?: number | undefined | null): number
  /**
   * Changes the user and the group of the file that `listen` created; an omitted one stays as it is.
   *
   * @returns False if the system can only do so by name, which is not safe: anybody with write access to the folder
   * could have replaced the file.
   */
  give(user?: number | undefined | null, group?: number | undefined | null): boolean
  /** Removes the file, unless another one has taken its place, and closes its folder. */
  remove(): void
}

/** Sockets that are listening, connecting, or in a handshake, identified by numbers. */
export declare class Sockets {
  /** `ready` is called whenever `poll` has events. Throws `ENOSYS` if the event loop cannot watch descriptors. */
  constructor(keepAlive: KeepAliveTimes, ready: () => void)
  /**
   * Takes over the descriptor of a listening socket and returns the socket's number. The options of a socket that is
   * `shared` with other processes are not changed.
   */
  listen(descriptor: number, shared: boolean, keepAlive: boolean, resetsOnClose: boolean): number
  /** Accepts a client. Returns null if none is waiting; then the next one causes an event. */
  accept(listener: number): AcceptedSocket | null
  /** Causes another event if clients are still waiting. */
  rearm(listener: number): void
  /** Starts to connect to a numeric address and returns the socket's number. An event reports the outcome. */
  connect(address: string, port: number, keepAlive: boolean, resetsOnClose: boolean): number
  /** The same for the UNIX socket at `path`. Throws `EAGAIN` if its backlog is full. */
  connectUnix(path: Uint8Array): number
  /** Sends all of `bytes`. Throws `EAGAIN` if the socket does not accept all of it. */
  send(id: number, bytes: Uint8Array): void
  /**
   * Starts to read exactly `length` bytes, 1 to 512, and nothing after them. An event reports that they have arrived
   * or never will.
   */
  expect(id: number, length: number): void
  /** The expected bytes that have arrived so far, or had when the stream ended or the socket failed. */
  arrived(id: number): Uint8Array
  /** Returns up to `length` bytes that have arrived, without consuming them. */
  peek(id: number, length: number): Uint8Array
  /** Whether the peer has ended its stream or the socket has failed, and everything before that has been read. */
  hasEnded(id: number): boolean
  /** Sets what the peer sees when the socket is closed: a reset, or the end of the stream. */
  resetOnClose(id: number, resets: boolean): void
  /** The local address of a TCP socket, null for any other. Throws if the system no longer knows it. */
  localAddress(id: number): ResolvedAddress | null
  /** Removes a socket and returns its descriptor, which the caller owns. */
  take(id: number): number
  /** Closes a socket, or resets its connection with `resets`. */
  close(id: number, resets: boolean): void
  /**
   * Writes all events since the last call into `out`, which needs room for `eventBytes()`, and returns the number of
   * bytes written. An event is the socket's number, a kind and a value, 4 bytes each in native byte order, then
   * data, padded to a multiple of 4 bytes.
   *
   * Kinds: 0, clients are waiting; 1, connected; 2, the expected bytes have arrived, and the value is their number;
   * 3, the stream ended after that many of them; 4, failed, with an `errno` as the value.
   */
  poll(out: Uint8Array): number
}

/** A thread that reads standard input or writes standard output. */
export declare class StreamThread {
  /** JavaScript's end of the socket pair, close-on-exec. The caller owns it. */
  get descriptor(): number
  /**
   * How the thread ended: 0 for an orderly end, or an `errno`; null while it is running. It is set before the thread
   * closes its end of the socket pair.
   */
  get outcome(): number | null
  /**
   * Tells the thread that everything has been written, before JavaScript closes its end. Otherwise the thread does
   * not end standard output, which may be shared.
   */
  endAfterThis(): void
}

/**
 * Sends messages to the system's logger without blocking.
 *
 * They are datagrams, or, if the logger uses a stream, each is followed by a zero byte, as with syslog(3).
 */
export declare class SyslogSocket {
  /** Opens the socket. */
  constructor()
  /**
   * Sends `message` to the logger at `path`, whole or not at all. Throws if nobody listens there, and `EAGAIN` or
   * `ENOBUFS` if the logger does not keep up.
   */
  send(path: string, message: Uint8Array): void
}

/** A client that was accepted. */
export interface AcceptedSocket {
  id: number
  /** The client as `[address]:port`, or the user of a UNIX socket's client; null if the system does not tell. */
  peer?: string
}

/** How `descriptor` was opened. */
export declare function accessMode(descriptor: number): AccessMode

/** How a descriptor was opened. */
export interface AccessMode {
  readable: boolean
  writable: boolean
}

/** Whether `count` more threads can run at the same time. They have ended when this returns. */
export declare function canStartThreads(count: number): boolean

/** The names of the capabilities that the calling thread has or may acquire. Always empty except on Linux. */
export declare function capabilities(): Array<string>

/** How many descriptors this process may have open: the soft limit. */
export declare function descriptorLimit(): number

/** Replaces each terminal among standard input, output and error with `/dev/null`. */
export declare function detachTerminals(): void

/** Drops all capabilities of the calling thread, so that nothing it starts has any. */
export declare function dropCapabilities(): void

/** Duplicates `descriptor`. Returns a close-on-exec descriptor, which the caller owns. */
export declare function duplicate(descriptor: number): number

/**
 * Ends standard output by replacing it with `/dev/null`. Throws if the file system reports a failed write only on
 * close, as network file systems do.
 */
export declare function endStandardOutput(): void

/** The most bytes that `Sockets.poll` can write. */
export declare function eventBytes(): number

/**
 * Forward secrecy on this side: "off" disables it, "allow" accepts a peer that disables it, "require" refuses such a
 * peer.
 */
export type ForwardSecrecy = 'off' | 'allow' | 'require'

/**
 * Whether the peer has ended its stream or the socket has failed, and everything before that has been read. Consumes
 * nothing.
 */
export declare function hasEnded(descriptor: number): boolean

/** Whether standard input, output or error is a terminal, even one that has hung up. */
export declare function hasTerminal(): boolean

/** Examines `descriptor` and makes it close-on-exec. The socket itself is not changed. */
export declare function inheritedSocket(descriptor: number): InheritedSocket

/** A descriptor inherited from the service manager. */
export interface InheritedSocket {
  /** `listening`, or why it cannot be used: `closed`, `no socket`, `no stream`, `not listening`, `unknown family`. */
  state: string
  /** The address of a TCP socket. */
  tcp?: ResolvedAddress
  /** The path of a UNIX socket; an abstract name starts with a zero byte. */
  path?: Uint8Array
}

/**
 * Whether two descriptors share one open file description, because one was inherited or duplicated from the other.
 * Null if the system does not tell.
 */
export declare function isSameOpenFile(process: number, descriptor: number, otherProcess: number, otherDescriptor: number): boolean | null

/** When the system probes an idle connection. */
export interface KeepAliveTimes {
  idleSeconds: number
  intervalSeconds: number
  probes: number
}

/** What a key file's contents look like. */
export type KeyContents = 'binary' | 'encoded' | 'text'

/** The kind of file at the path, or behind the descriptor. */
export type KeyFileKind = 'file' | 'folder' | 'pipe' | 'socket' | 'device'

/** What to read, and what to refuse. */
export interface KeyFileRequest {
  /** Read this descriptor instead of opening the path. The caller keeps it, and keeps it open until the callback. */
  descriptor?: number
  /** The most bytes to read. */
  limitBytes: number
  /** Refuse anything that cannot be read again by its path: pipes, devices and this process's descriptors. */
  regularOnly: boolean
  /** Refuse standard input, unless it is a regular file. */
  exceptStandardInput: boolean
}

/** The outcome of reading or opening a key file. */
export type KeyFileState = 'failed' | 'refused' | 'opened' | 'too-long' | 'read'

/** The result of listing a folder. */
export interface KeyFolder {
  /** The names in it as bytes, unordered; empty after an error. On Windows in UTF-8. */
  names: Array<Uint8Array>
  /** Whether the folder has more than `maxNames` names, of which these are some. */
  hasMore: boolean
  /** Whether the path names a descriptor of this process, as `/dev/fd/63` does. */
  namesDescriptor: boolean
  /** Its permissions; unset if the system does not tell, as on Windows. */
  mode?: number
  /** The name of the `errno`, such as `ENOENT`, and what it means. */
  failure?: string
  failureText?: string
}

/**
 * Listens on `address`, a numeric IPv4 or IPv6 address with `%scope` if it needs one. Returns a non-blocking,
 * close-on-exec descriptor with `SO_REUSEADDR`, which the caller owns.
 *
 * `IPV6_V6ONLY` keeps the system's default, as in spiped.
 */
export declare function listenTcp(address: string, port: number, backlog: number): number

/**
 * Lists up to `maxNames` names of a folder on a thread of its own and calls `done` with the result, also after an
 * error.
 */
export declare function listKeyFolder(path: string | Uint8Array, maxNames: number, done: (folder: KeyFolder) => void): void

/** The local address of a TCP socket, null for any other. Throws if the system no longer knows it. */
export declare function localAddress(descriptor: number): ResolvedAddress | null

/** What another process sees of such a file. */
export interface LockedFileState {
  /** Whether a process has locked it. */
  isLocked: boolean
  /** Its first 64 bytes, as text. */
  text: string
}

/** The id of the group with this name, or else with this number; null if there is none. */
export declare function lookUpGroup(group: string): number | null

/** The result of a lookup. */
export interface LookupResult {
  /** In the system's order; empty after an error. */
  addresses: Array<ResolvedAddress>
  /** The resolver's message, if it failed. */
  failure?: string
}

/** The user with this name, or else with this number; null if there is none. */
export declare function lookUpUser(user: string): UserAccount | null

/** The most data, in bytes, that opening `ciphertextLength` bytes can give. */
export declare function maxOpenedLength(ciphertextLength: number): number

/**
 * Sets the process name, by which `pidof` and `pgrep` find it. Call it on the main thread, whose name is that of the
 * process. Linux only; does nothing elsewhere.
 */
export declare function nameProcess(name: string): void

/**
 * Opens a key file, as `readKeyFile` does, or a folder, without reading it. If the path names a descriptor of this
 * process, that descriptor becomes close-on-exec.
 */
export declare function openKeyFile(path: string | Uint8Array, done: (keyFile: KeyFile) => void): void

/**
 * The remote address of a TCP connection, null for other sockets or if the system no longer knows it.
 *
 * Linux still knows it after a reset, although `getpeername` fails.
 */
export declare function peerAddress(descriptor: number): ResolvedAddress | null

/**
 * Protects the memory of this process: no core dumps, not even for root, and no tracing or reading by other processes
 * of the same user. On macOS only the limit on core dumps applies.
 *
 * On Linux, changing the user undoes the protection against tracing, so call this again afterwards.
 */
export declare function protectMemory(): void

/**
 * Reads a key file on a thread of its own and calls `done` with the result, also after an error. If reading blocks
 * forever, `done` is never called.
 */
export declare function readKeyFile(path: string | Uint8Array, request: KeyFileRequest, done: (keyFile: KeyFile) => void): void

/** Starts to read standard input to its end. */
export declare function readStandardInput(): StreamThread

/** How a relayed connection ended, unless it was orderly. */
export interface RelayEnd {
  /** `truncated`, `rejected`, `broken`, `cancelled` or `failed`. */
  kind: string
  /** `source` or `target`, for `broken`: the side that failed. */
  side?: string
  /** The error's code, for `rejected` and `broken`: one of the core's, or the name of an `errno`. */
  code?: string
  /** The error's message. */
  message?: string
  /** Bytes received of the incomplete packet, for `truncated`. */
  pendingBytes?: number
}

/**
 * Resolves `host` and `service`, each a number or a name, to stream addresses, and calls `done` once.
 *
 * Runs on a thread of its own. An unresponsive name server blocks it for a minute; on Node.js's thread pool that would
 * stall handshakes too, and keep the process from exiting, which waits for that pool.
 */
export declare function resolve(host: string, service: string, done: (found: LookupResult) => void): void

/** One address of a name. */
export interface ResolvedAddress {
  /** 4 or 6. */
  family: number
  /** Numeric, with `%scope` if it needs one. */
  address: string
  port: number
}

/** Parses a numeric `host` and `service`. Does not block. */
export declare function resolveNumeric(host: string, service: string): ResolvedAddress

/** The size of `cleartextLength` bytes of data once sealed, in bytes: a multiple of 1,060. */
export declare function sealedLength(cleartextLength: number): number

/**
 * Enables keep-alive on a TCP connection: the system probes it after `idle_seconds` without data, then every
 * `interval_seconds`, and ends it after `probes` unanswered probes.
 */
export declare function setKeepAlive(descriptor: number, idleSeconds: number, intervalSeconds: number, probes: number): void

/**
 * Sets what the peer of a TCP connection sees when the socket is closed: a reset at once, or the end of the stream
 * after all data. Has no effect on a UNIX socket.
 */
export declare function setResetOnClose(descriptor: number, resets: boolean): void

/** Takes the pending error of a socket, `SO_ERROR`: the name of an `errno`, or null if there is none. */
export declare function takeSocketError(descriptor: number): string | null

/** The process at the other end of a UNIX socket, null if the system does not tell. */
export declare function unixPeer(descriptor: number): UnixPeer | null

/** The process that connected to a UNIX socket. */
export interface UnixPeer {
  uid: number
  /** Unset if the system does not tell. The process may have exited, and its id may be in use again. */
  pid?: number
}

/** A user of this system. */
export interface UserAccount {
  uid: number
  /** The user's login group. */
  gid: number
}

/**
 * Starts to write to standard output, and ends it at the end of the stream, as `endStandardOutput` does. The socket
 * pair carries no data back; its end means that everything is written, or that nothing more can be.
 */
export declare function writeStandardOutput(): StreamThread
