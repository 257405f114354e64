/**
 * Capabilities of the operating system, one function each. No other file checks `process.platform`, except
 * `native/native.ts`, which selects the addon by it, and `cli/early-signals.ts`, which imports nothing.
 *
 * These are functions so that tests can simulate another system.
 */

function isWindows(): boolean {
  return process.platform === "win32";
}

function isLinux(): boolean {
  return process.platform === "linux";
}

/** Whether there are UNIX sockets. */
export function hasUnixSockets(): boolean {
  return !isWindows();
}

/** Whether systemd can pass sockets to this process. */
export function hasSystemd(): boolean {
  return !isWindows();
}

/**
 * Whether sockets and streams have descriptors that the addon can use: to listen without accepting, to relay, to read and
 * write standard streams, and to count them against a limit.
 */
export function hasDescriptors(): boolean {
  return !isWindows();
}

/** Whether files have UNIX permissions. */
export function hasFileModes(): boolean {
  return !isWindows();
}

/** Whether the addon can set the process's name, protect its memory, and detach it from a terminal. */
export function hasProcessControl(): boolean {
  return !isWindows();
}

/** Whether SIGHUP means that the console was closed, after which the system terminates the process. */
export function endsAfterHangUp(): boolean {
  return isWindows();
}

/** Whether the commands have no daemon mode, `-u` and UNIX sockets. */
export function lacksDaemons(): boolean {
  return isWindows();
}

/** Whether a socket on [::] accepts IPv4 clients too by default. */
export function listensOnBothFamilies(): boolean {
  return isLinux();
}

/** Whether /proc lists processes and their descriptors. */
export function hasProc(): boolean {
  return isLinux();
}

/** Whether the addon can change the owner of a UNIX socket's file safely. */
export function canGiveSockets(): boolean {
  return isLinux();
}
