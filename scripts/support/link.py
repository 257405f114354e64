#!/usr/bin/python3
"""A link between two network namespaces that loses, delays, repeats, reorders, changes, queues or rewrites packets.

    link.py NEAR_PID FAR_PID MTU SEED [NEAR_ADDRESS FAR_ADDRESS]

Each namespace, given by the id of a process in it, gets a TUN device `link0` with an address, IPv4 or IPv6. What one sends comes out of the other,
after the treatment set by orders on standard input, one JSON object per line:

    {"set": {"forward": {...}, "reverse": {...}}}   from now on; a direction left out stays as it is
    {"nat": "masquerade" | "forget"}                near's address is replaced; all replacements are forgotten
    {"figures": true}                               the counters

Each order is answered by one line. The link is removed when standard input ends. Settings of a direction, all off at
first:

    loss, duplicate, reorder, corrupt, forge   probabilities for each packet. A forged packet has a bit of its TCP data
                                               changed and its checksum corrected; a corrupt one has a bit changed
    delayMs, jitterMs     jitter keeps the order; a reordered packet comes reorderMs (20) later than it would
    bitsASecond, queueBytes   what exceeds the queue is lost
    mtu, tellsMtu         longer packets are lost, and the sender gets an ICMP message, or not
    down                  all is lost
    connections           "all"; "known": resets connections that did not begin since, as a restarted host does

The kernel's netem is not used: some kernels lack it, and it can neither forge packets nor repeat a run from a seed.
"""

import ctypes
import errno
import fcntl
import heapq
import json
import os
import random
import select
import socket
import struct
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN_NO_PI = 0x1001
CLONE_NEWNET = 0x40000000
SYN, RST, ACK = 0x02, 0x04, 0x10
# By IP version.
NAT_ADDRESS = {4: socket.inet_aton("10.9.0.254"), 6: socket.inet_pton(socket.AF_INET6, "fd00::fe")}
LINK_ADDRESS = {4: socket.inet_aton("10.9.0.253"), 6: socket.inet_pton(socket.AF_INET6, "fd00::fd")}
# Where the source and the target address are in a packet's header.
SOURCE_AT = {4: slice(12, 16), 6: slice(8, 24)}
TARGET_AT = {4: slice(16, 20), 6: slice(24, 40)}
TCP, ICMP, ICMPV6 = 6, 1, 58
MOST_AT_ONCE = 64


def enter_network(pid):
    descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
    os.close(descriptor)


def open_device(pid):
    enter_network(pid)
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", b"link0", IFF_TUN_NO_PI))
    return device


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def version_of(packet):
    return packet[0] >> 4


def header_length(packet):
    """IPv6 packets with extension headers are not looked into."""
    return 40 if version_of(packet) == 6 else (packet[0] & 15) * 4


def pseudo_header(packet, protocol):
    """What the checksums of TCP and ICMPv6 cover besides their own bytes."""
    version, length = version_of(packet), len(packet) - header_length(packet)
    addresses = bytes(packet[SOURCE_AT[version]]) + bytes(packet[TARGET_AT[version]])
    return addresses + struct.pack("!BBH" if version == 4 else "!IxxxB", *((0, protocol, length) if version == 4 else (length, protocol)))


def set_checksums(packet):
    """Corrects the checksums of a TCP packet."""
    start = header_length(packet)
    if version_of(packet) == 4:
        packet[10:12] = b"\0\0"
        packet[10:12] = struct.pack("!H", checksum(bytes(packet[:start])))
    packet[start + 16 : start + 18] = b"\0\0"
    packet[start + 16 : start + 18] = struct.pack("!H", checksum(pseudo_header(packet, TCP) + bytes(packet[start:])))
    return packet


def is_tcp(packet):
    if version_of(packet) == 6:
        return len(packet) >= 60 and packet[6] == TCP
    return len(packet) >= 40 and packet[9] == TCP


def ip_header(protocol, length, source, target):
    if len(source) == 16:
        return struct.pack("!IHBB16s16s", 6 << 28, length, protocol, 64, source, target)
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + length, 0, 0, 64, protocol, 0, source, target)
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:]


def is_ours(packet):
    """Whether a packet is not one of those that each IPv6 device sends by itself, to find routers and groups."""
    return version_of(packet) == 4 or (version_of(packet) == 6 and target_of(packet)[0] != 0xFF)


def source_of(packet):
    return bytes(packet[SOURCE_AT[version_of(packet)]])


def target_of(packet):
    return bytes(packet[TARGET_AT[version_of(packet)]])


def ports_of(packet):
    return struct.unpack_from("!HH", packet, header_length(packet))


def reset_for(packet):
    """A host's answer to a packet of a connection it does not know."""
    start = header_length(packet)
    source, target, number, acknowledged = struct.unpack_from("!HHII", packet, start)
    flags = packet[start + 13]
    if flags & RST:
        return None
    if flags & ACK:
        tcp = struct.pack("!HHIIBBHHH", target, source, acknowledged, 0, 0x50, RST, 0, 0, 0)
    else:
        length = len(packet) - start - (packet[start + 12] >> 4) * 4 + (1 if flags & SYN else 0)
        tcp = struct.pack("!HHIIBBHHH", target, source, 0, (number + length) & 0xFFFFFFFF, 0x50, RST | ACK, 0, 0, 0)
    return set_checksums(bytearray(ip_header(TCP, len(tcp), target_of(packet), source_of(packet)) + tcp))


def too_long_for(packet, mtu):
    """ICMP's "fragmentation needed", or ICMPv6's "packet too big", to the packet's sender."""
    version = version_of(packet)
    if version == 4:
        body = struct.pack("!BBHHH", 3, 4, 0, 0, mtu) + bytes(packet[: header_length(packet) + 8])
        pseudo = b""
    else:
        body = struct.pack("!BBHI", 2, 0, 0, mtu) + bytes(packet[: 1_280 - 48])
    ip = ip_header(ICMP if version == 4 else ICMPV6, len(body), LINK_ADDRESS[version], source_of(packet))
    if version == 6:
        pseudo = pseudo_header(ip + body, ICMPV6)
    return ip + body[:2] + struct.pack("!H", checksum(pseudo + body)) + body[4:]


class Nat:
    """Replaces near's address and ports, as a home router does, and drops packets of unknown connections."""

    def __init__(self):
        self.outer_of, self.inner_of, self.next = {}, {}, 40_000

    def forget(self):
        self.outer_of, self.inner_of = {}, {}

    def outwards(self, packet):
        packet, start = bytearray(packet), header_length(packet)
        inner = (source_of(packet), struct.unpack_from("!H", packet, start)[0])
        if inner not in self.outer_of:
            self.outer_of[inner], self.inner_of[self.next] = self.next, inner
            self.next += 1
        packet[SOURCE_AT[version_of(packet)]] = NAT_ADDRESS[version_of(packet)]
        struct.pack_into("!H", packet, start, self.outer_of[inner])
        return set_checksums(packet)

    def inwards(self, packet):
        packet, start = bytearray(packet), header_length(packet)
        inner = self.inner_of.get(struct.unpack_from("!H", packet, start + 2)[0])
        if inner is None:
            return None
        packet[TARGET_AT[version_of(packet)]] = inner[0]
        struct.pack_into("!H", packet, start + 2, inner[1])
        return set_checksums(packet)


class Direction:
    def __init__(self, link, name, source, target, chance):
        self.link, self.name, self.source, self.target, self.chance = link, name, source, target, chance
        self.order, self.last_due, self.free_at = {}, 0.0, 0.0
        self.counts = dict.fromkeys(
            ("packets", "bytes", "lost", "duplicated", "reordered", "corrupted", "forged", "tooLong", "full", "reset"), 0
        )
        self.counts["longestQueueBytes"] = 0

    def set(self, order):
        self.order = order
        if order.get("connections") == "known":
            self.link.known.clear()

    def hits(self, what):
        probability = self.order.get(what, 0)
        return probability > 0 and self.chance.random() < probability

    def take(self, packet):
        order, counts = self.order, self.counts
        counts["packets"] += 1
        counts["bytes"] += len(packet)
        if not order and self.link.nat is None:
            self.deliver(packet)
            return
        if order.get("down") or self.hits("loss"):
            counts["lost"] += 1
            return
        if len(packet) > order.get("mtu", 65_535):
            counts["tooLong"] += 1
            if order.get("tellsMtu"):
                self.link.write(self.source, too_long_for(packet, order["mtu"]))
            return
        if order.get("connections") == "known" and is_tcp(packet) and self.is_unknown(packet):
            return
        if self.link.nat is not None and is_tcp(packet):
            packet = self.link.nat.outwards(packet) if self.name == "forward" else self.link.nat.inwards(packet)
            if packet is None:
                counts["lost"] += 1
                return
        if self.hits("corrupt"):
            counts["corrupted"] += 1
            packet = self.changed(packet, header_length(packet))
        if is_tcp(packet):
            data = header_length(packet) + (packet[header_length(packet) + 12] >> 4) * 4
            if data < len(packet) and self.hits("forge"):
                counts["forged"] += 1
                packet = set_checksums(self.changed(packet, data))
        self.queue(packet)
        if self.hits("duplicate"):
            counts["duplicated"] += 1
            self.queue(packet)

    def is_unknown(self, packet):
        ports = ports_of(packet) if self.name == "forward" else ports_of(packet)[::-1]
        if packet[header_length(packet) + 13] & (SYN | ACK) == SYN:
            self.link.known.add(ports)
        if ports in self.link.known:
            return False
        answer = reset_for(packet)
        if answer is not None:
            self.counts["reset"] += 1
            self.link.write(self.source, answer)
        return True

    def changed(self, packet, first):
        packet = bytearray(packet)
        bit = self.chance.randrange(first * 8, len(packet) * 8)
        packet[bit // 8] ^= 1 << (bit % 8)
        return packet

    def queue(self, packet):
        order, now = self.order, time.monotonic()
        due = now
        if "bitsASecond" in order:
            rate = order["bitsASecond"] / 8
            waiting = max(0.0, self.free_at - now) * rate
            if waiting + len(packet) > order.get("queueBytes", 1 << 20):
                self.counts["full"] += 1
                return
            self.counts["longestQueueBytes"] = max(self.counts["longestQueueBytes"], int(waiting) + len(packet))
            self.free_at = max(self.free_at, now) + len(packet) / rate
            due = self.free_at
        jitter = order.get("jitterMs", 0)
        due += (order.get("delayMs", 0) + (self.chance.uniform(-jitter, jitter) if jitter else 0)) / 1_000
        due = self.last_due = max(due, self.last_due)
        if self.hits("reorder"):
            self.counts["reordered"] += 1
            due += order.get("reorderMs", 20) / 1_000
        if due <= now:
            self.deliver(packet)
        else:
            self.link.later(due, self, packet)

    def deliver(self, packet):
        self.link.write(self.target, packet)


class Link:
    def __init__(self, near, far, seed):
        self.directions = {
            "forward": Direction(self, "forward", near, far, random.Random(f"{seed} forward")),
            "reverse": Direction(self, "reverse", far, near, random.Random(f"{seed} reverse")),
        }
        self.waiting, self.count, self.nat, self.known = [], 0, None, set()

    def later(self, due, direction, packet):
        self.count += 1
        heapq.heappush(self.waiting, (due, self.count, direction, packet))

    def write(self, device, packet):
        try:
            os.write(device, packet)
        except OSError as error:
            # A device that is down or full loses the packet; one that was deleted loses all.
            if error.errno not in (errno.EIO, errno.EAGAIN, errno.ENOBUFS, errno.EBADFD, errno.EINVAL):
                raise

    def obey(self, order):
        for name, values in order.get("set", {}).items():
            self.directions[name].set(values)
        if order.get("nat") == "masquerade":
            self.nat = Nat()
        elif order.get("nat") == "forget":
            self.nat.forget()
        return {name: direction.counts for name, direction in self.directions.items()}

    def run(self):
        poll = select.poll()
        by_source = {direction.source: direction for direction in self.directions.values()}
        for descriptor in [*by_source, 0]:
            poll.register(descriptor, select.POLLIN)
        text = b""
        while True:
            wait = None if not self.waiting else max(0.0, self.waiting[0][0] - time.monotonic()) * 1_000
            for descriptor, events in poll.poll(wait):
                if descriptor == 0:
                    more = os.read(0, 65_536)
                    if more == b"":
                        return
                    *lines, text = (text + more).split(b"\n")
                    for line in lines:
                        print(json.dumps(self.obey(json.loads(line))), flush=True)
                elif events & select.POLLIN == 0:
                    poll.unregister(descriptor)  # the device was deleted
                else:
                    self.read(by_source[descriptor])
            now = time.monotonic()
            while self.waiting and self.waiting[0][0] <= now:
                _, _, direction, packet = heapq.heappop(self.waiting)
                if not direction.order.get("down"):
                    direction.deliver(packet)

    def read(self, direction):
        for _ in range(MOST_AT_ONCE):
            try:
                packet = os.read(direction.source, 65_536)
            except OSError as error:
                if error.errno in (errno.EAGAIN, errno.EIO, errno.EBADFD):
                    return
                raise
            if is_ours(packet):
                direction.take(packet)


def main():
    near_pid, far_pid, mtu, seed, *addresses = sys.argv[1:]
    near_address, far_address = addresses or ("10.9.0.1", "10.9.0.2")
    near, far = open_device(near_pid), open_device(far_pid)
    os.environ["PATH"] = "/usr/sbin:/sbin:" + os.environ.get("PATH", "")
    for pid, own, other in [(near_pid, near_address, far_address), (far_pid, far_address, near_address)]:
        inside = f"nsenter --net=/proc/{pid}/ns/net ip"
        network = f"{own}/64 dev link0 nodad" if ":" in own else f"{own}/24 dev link0"
        for words in [f"link set link0 mtu {mtu} up", f"address add {network}", f"route replace {other} dev link0"]:
            if os.system(f"{inside} {words}") != 0:
                sys.exit(1)
    print("{}", flush=True)
    Link(near, far, seed).run()


main()
