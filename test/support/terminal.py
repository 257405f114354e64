"""Runs a command in a terminal of its own, whose output it passes on. The terminal goes away when standard input ends.

Exits as the command did, with 128 and the signal's number where a signal ended it.
"""

import os
import pty
import select
import sys

child, terminal = pty.fork()
if child == 0:
    os.execvp(sys.argv[1], sys.argv[1:])

watched = [0, terminal]
while terminal in watched:
    for descriptor in select.select(watched, [], [])[0]:
        try:
            data = os.read(descriptor, 65536)
        except OSError:  # nobody has the terminal open any more
            data = b""
        if data == b"":
            watched = [] if descriptor == 0 else [0]
            break
        if descriptor == terminal:
            os.write(1, data)
        else:
            os.write(terminal, data)
os.close(terminal)
_, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status) % 256 if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))
