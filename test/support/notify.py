"""A service manager's ear: writes each datagram on standard error as a line, its line breaks as ` | `.

Takes a path, or @ and the name of an abstract socket. With the word `deaf` it reads nothing until its input ends.
"""

import os
import socket
import sys

name = sys.argv[1]
receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
receiver.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
receiver.bind("\0" + name[1:] if name.startswith("@") else name)
print("listening", file=sys.stderr, flush=True)
if sys.argv[2:] == ["deaf"]:
    sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sender.setblocking(False)
    try:
        while True:
            sender.sendto(b"full", receiver.getsockname())
    except BlockingIOError:
        pass
    print("full", file=sys.stderr, flush=True)
    sys.stdin.read()
while True:
    message, ancillary, _, _ = receiver.recvmsg(65536, 4096)
    pid = int.from_bytes(ancillary[0][2][:4], sys.byteorder) if ancillary else 0
    if message != b"full":
        print(f"{pid}: " + message.decode().replace("\n", " | "), file=sys.stderr, flush=True)
