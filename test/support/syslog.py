"""Receives what is sent to the local syslog and writes each message on standard error as a line.

Takes datagrams, or with the word `stream` a stream in which a zero byte ends each message, from one sender at a time.
"""

import os
import socket
import sys

PATH = "/dev/log"


def say(text):
    print(text, file=sys.stderr, flush=True)


is_stream = sys.argv[1:] == ["stream"]
if os.path.exists(PATH):
    os.unlink(PATH)
receiver = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM if is_stream else socket.SOCK_DGRAM)
receiver.bind(PATH)
os.chmod(PATH, 0o666)
if is_stream:
    receiver.listen()
say("listening")
while not is_stream:
    say(receiver.recv(65536).decode())
while True:
    sender, _ = receiver.accept()
    begun = b""
    while received := sender.recv(65536):
        *messages, begun = (begun + received).split(b"\0")
        for message in messages:
            say(message.decode())
