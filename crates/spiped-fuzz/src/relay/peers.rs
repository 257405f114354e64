//! The two peers of a connection: one sends and receives cleartext, the other packets. Each checks that what it receives
//! is what the other sent.

use std::collections::VecDeque;

use spiped_core::Error;

use super::{Tamper, peer_socket::PeerSocket};
use crate::reference::{DATA, Keys, PACKET};

/// Bytes in which no two blocks of 1,024 are the same.
fn pattern(seed: u8, from: usize, length: usize) -> Vec<u8> {
    (from..from + length).map(|index| ((index * 31 + index / 251) as u8) ^ seed).collect()
}

/// The peer with cleartext: an application or a service.
#[derive(Debug)]
pub(super) struct Cleartext {
    pub(super) end: PeerSocket,
    pub(super) written: usize,
    pub(super) read: usize,
}

impl Cleartext {
    const SEED: u8 = 0x5a;

    pub(super) fn write(&mut self, length: usize) {
        self.written += self.end.write(&pattern(Self::SEED, self.written, length));
    }

    /// Reads, and checks that the data is what the other peer sent. Returns whether anything arrived.
    pub(super) fn read(&mut self, max_length: usize, sent: &Packets) -> bool {
        let had_end = self.end.saw_end;
        let bytes = self.end.read(max_length);
        let expected = sent.cleartext.get(self.read..).and_then(|rest| rest.get(..bytes.len()));
        assert!(expected == Some(&bytes), "{} bytes at {} are not what was sent", bytes.len(), self.read);
        self.read += bytes.len();
        if self.end.saw_end {
            assert!(sent.ended_in_order() && self.read == sent.cleartext.len(), "the stream ended, but not in order");
        }
        !bytes.is_empty() || had_end != self.end.saw_end
    }
}

/// The peer with packets, which seals and opens like the reference except where it tampers.
#[derive(Debug)]
pub(super) struct Packets {
    pub(super) end: PeerSocket,
    keys: [Keys; 2],
    /// Bytes of data in the packets made so far, and their number.
    made: usize,
    number: u64,
    tampers: VecDeque<Tamper>,
    outbox: VecDeque<u8>,
    /// Of the bytes that the system accepted: an incomplete packet at their end, and the number of packets before it.
    pub(super) incomplete: Vec<u8>,
    sent_packets: u64,
    /// The data of the accepted packets up to the first invalid one, and that one's error.
    pub(super) cleartext: Vec<u8>,
    pub(super) failure: Option<Error>,
    /// Of the received bytes: the bytes of data, an incomplete packet, and the number of packets before it.
    pub(super) opened: usize,
    received: Vec<u8>,
    received_packets: u64,
}

impl Packets {
    const SEED: u8 = 0xa5;

    /// `keys` are those for sending and for receiving.
    pub(super) fn new(end: PeerSocket, keys: [Keys; 2]) -> Self {
        Self {
            end,
            keys,
            made: 0,
            number: 0,
            tampers: VecDeque::new(),
            outbox: VecDeque::new(),
            incomplete: Vec::new(),
            sent_packets: 0,
            cleartext: Vec::new(),
            failure: None,
            opened: 0,
            received: Vec::new(),
            received_packets: 0,
        }
    }

    pub(super) fn ended_in_order(&self) -> bool {
        self.end.finished && self.incomplete.is_empty() && self.failure.is_none()
    }

    pub(super) fn tamper(&mut self, tamper: Tamper) {
        self.tampers.push_back(tamper);
    }

    pub(super) fn write(&mut self, length: usize) {
        while self.outbox.len() < length {
            self.make();
        }
        let bytes: Vec<u8> = self.outbox.iter().take(length).copied().collect();
        let taken = self.end.write(&bytes);
        for byte in self.outbox.drain(..taken) {
            self.incomplete.push(byte);
            if self.incomplete.len() == PACKET {
                let packet = std::mem::take(&mut self.incomplete);
                if self.failure.is_none() {
                    match self.keys[0].open(self.sent_packets, &packet) {
                        Ok(data) => self.cleartext.extend(data),
                        Err(error) => self.failure = Some(error),
                    }
                }
                self.sent_packets += 1;
            }
        }
    }

    fn next_packet(&mut self, claimed_length: Option<u32>) -> Vec<u8> {
        // Mostly full packets, the others of every length.
        let length = match self.number % 4 {
            0 => 1 + (self.number as usize * 37) % DATA,
            _ => DATA,
        };
        let data = pattern(Self::SEED, self.made, length);
        let packet = self.keys[0].packet(self.number, &data, claimed_length.unwrap_or(length as u32));
        self.made += length;
        self.number += 1;
        packet
    }

    fn make(&mut self) {
        let packets = match self.tampers.pop_front() {
            None => self.next_packet(None),
            Some(Tamper::Flip { at, bits }) => {
                let mut packet = self.next_packet(None);
                packet[usize::from(at) % PACKET] ^= bits;
                packet
            }
            Some(Tamper::Drop) => {
                self.next_packet(None);
                self.next_packet(None)
            }
            Some(Tamper::Repeat) => self.next_packet(None).repeat(2),
            Some(Tamper::Swap) => {
                let [first, second] = [self.next_packet(None), self.next_packet(None)];
                [second, first].concat()
            }
            Some(Tamper::Cut { at }) => {
                let mut packet = self.next_packet(None);
                packet.remove(usize::from(at) % PACKET);
                packet
            }
            Some(Tamper::Length(length)) => self.next_packet(Some(length)),
        };
        self.outbox.extend(packets);
    }

    /// Reads, and checks that the packets open to what the other peer sent. Returns whether anything arrived.
    pub(super) fn read(&mut self, max_length: usize, sent: &Cleartext) -> bool {
        let had_end = self.end.saw_end;
        let bytes = self.end.read(max_length);
        self.received.extend_from_slice(&bytes);
        let whole = self.received.len() / PACKET * PACKET;
        for packet in self.received.drain(..whole).collect::<Vec<_>>().chunks(PACKET) {
            let data = self.keys[1].open(self.received_packets, packet).expect("a valid packet");
            assert!(data == pattern(Cleartext::SEED, self.opened, data.len()), "the packet carries the wrong data");
            self.opened += data.len();
            self.received_packets += 1;
        }
        assert!(self.opened <= sent.written, "more arrived than was sent");
        if self.end.saw_end {
            let in_order = sent.end.finished && self.received.is_empty() && self.opened == sent.written;
            assert!(in_order, "the stream ended, but not in order");
        }
        !bytes.is_empty() || had_end != self.end.saw_end
    }
}
