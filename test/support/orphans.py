"""Runs a command in a terminal of its own, which goes away at a line on standard input. Then it waits for the command and
for whatever that has left behind, and says of each how it ended: `PID exit STATUS` or `PID signal NUMBER`.
"""

import ctypes
import fcntl
import os
import pty
import sys
import termios

PR_SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

child, terminal = pty.fork()
if child == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
modes = termios.tcgetattr(terminal)
sys.stdin.readline()
unchanged = termios.tcgetattr(terminal) == modes
said = b""
fcntl.fcntl(terminal, fcntl.F_SETFL, os.O_NONBLOCK)
try:
    while True:
        said += os.read(terminal, 65536)
except OSError:  # all has been read, or nobody has the terminal open any more
    pass
os.close(terminal)
print("terminal", "unchanged" if unchanged else "changed", flush=True)
os.write(1, said)
while True:
    try:
        process, status = os.wait()
    except ChildProcessError:
        break
    if os.WIFSIGNALED(status):
        print(process, "signal", os.WTERMSIG(status), flush=True)
    else:
        print(process, "exit", os.WEXITSTATUS(status), flush=True)
