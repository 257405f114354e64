"""Receives what is sent to the local syslog and writes each datagram on standard error as a line."""

import os
import socket
import sys

PATH = "/dev/log"
if os.path.exists(PATH):
    os.unlink(PATH)
receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
receiver.bind(PATH)
os.chmod(PATH, 0o666)
print("listening", file=sys.stderr, flush=True)
while True:
    print(receiver.recv(65536).decode(), file=sys.stderr, flush=True)
