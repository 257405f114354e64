/**
 * What this operating system offers, one function per fact: the only file that asks for its name, besides
 * `native/native.ts`, which picks the addon by it, and `cli/early-signals.ts`, which loads nothing.
 *
 * Functions, so that a test can play another system.
 */

function isWindows(): boolean {
  return process.platform === "win32";
}

function isLinux(): boolean {
  return process.platform === "linux";
}

/** Whether sockets can have a path in the file system. */
export function hasUnixSockets(): boolean {
  return !isWindows();
}

/** Whether systemd can pass sockets to this process. */
export function hasSystemd(): boolean {
  return !isWindows();
}

/**
 * Whether sockets and streams are descriptors with numbers, which the addon can use: to listen while nothing is accepted,
 * to relay, to read and write standard streams, and to count against a limit.
 */
export function hasDescriptors(): boolean {
  return !isWindows();
}

/** Whether the permissions of a file say who may read it. */
export function hasFileModes(): boolean {
  return !isWindows();
}

/** Whether the addon can name this process, keep its memory from others, and detach it from a terminal. */
export function hasProcessControl(): boolean {
  return !isWindows();
}

/** Whether SIGHUP means that the console is closed, after which the system ends the process. */
export function endsAfterHangUp(): boolean {
  return isWindows();
}

/** Whether the commands do without daemons, users and UNIX sockets. */
export function lacksDaemons(): boolean {
  return isWindows();
}

/** Whether a socket on [::] takes IPv4 clients too unless it is told otherwise. */
export function listensOnBothFamilies(): boolean {
  return isLinux();
}

/** Whether /proc tells of processes and their descriptors, and of all UNIX sockets. */
export function hasProc(): boolean {
  return isLinux();
}
