use std::{
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    os::{fd::AsFd, unix::net::UnixStream},
    time::Duration,
};

use spiped_core::{DirectionKeys, Sealer};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::*;

#[test]
fn passing_on_the_end_of_a_stream_to_a_receiver_that_has_reset_reports_the_reset() {
    let (program, from) = UnixStream::pair().expect("a pair of sockets");
    let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
    let service = TcpStream::connect(listener.local_addr().expect("an address")).expect("connects");
    let (from, to) = (Socket::from(from), Socket::from(listener.accept().expect("accepts").0));
    let now = Instant::now();
    let framing = Framing::Seal(Sealer::new(&DirectionKeys::from_bytes(&[1; 32], &[2; 32])));
    let mut direction = Direction::new(framing, Coalescer::new(true, now));
    let (mut scratch, budget, fairness) = (Scratch::new(), Budget::new(1 << 20), Fairness::new());
    let mut context = TurnContext { scratch: &mut scratch, budget: &budget, fairness: &fairness, others: 0, now };
    drop(program);
    let turn = direction.turn(&from, &to, &mut context, |_| {}).expect("reads the end");
    assert_eq!(turn.next, Next::Turn);
    Socket::from(service).set_linger(Some(Duration::ZERO)).expect("resets");
    poll(&mut [PollFd::new(to.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE).expect("the reset arrives");
    let failure = direction.turn(&from, &to, &mut context, |_| {}).expect_err("the connection is reset");
    assert!(matches!(&failure, Failure::Write(error) if error.kind() == ErrorKind::ConnectionReset), "{failure:?}");
}

#[test]
fn a_coalesced_stream_continues_when_its_full_receiver_has_room_again() {
    let pair = || UnixStream::pair().expect("a pair of sockets");
    let ((mut program, from), (to, mut service)) = (pair(), pair());
    service.set_nonblocking(true).expect("a socket");
    let (from, to) = (Socket::from(from), Socket::from(to));
    from.set_nonblocking(true).expect("a socket");
    to.set_nonblocking(true).expect("a socket");
    let now = Instant::now();
    let framing = Framing::Seal(Sealer::new(&DirectionKeys::from_bytes(&[1; 32], &[2; 32])));
    let mut direction = Direction::new(framing, Coalescer::new(true, now));
    let (mut scratch, budget, fairness) = (Scratch::new(), Budget::new(1 << 20), Fairness::new());
    let mut turn = |direction: &mut Direction| {
        let mut context = TurnContext { scratch: &mut scratch, budget: &budget, fairness: &fairness, others: 0, now };
        direction.turn(&from, &to, &mut context, |_| {}).expect("a turn")
    };
    for _ in 0..100_000 {
        program.write_all(b"a line").expect("writes");
        direction.became_readable(false);
        direction.stop_waiting();
        turn(&mut direction);
        if direction.buffered.is_some() {
            break;
        }
    }
    assert!(direction.buffered.is_some(), "the receiver is full");
    program.write_all(b"a line").expect("writes");
    let _ = service.read_to_end(&mut Vec::new());
    direction.became_readable(false);
    direction.became_writable();
    assert!(turn(&mut direction).moved);
}

#[test]
fn every_turn_that_sends_something_is_reported_once() {
    let pair = || UnixStream::pair().expect("a pair of sockets");
    let ((mut program, from), (to, _service)) = (pair(), pair());
    let (from, to) = (Socket::from(from), Socket::from(to));
    from.set_nonblocking(true).expect("a socket");
    let now = Instant::now();
    let framing = Framing::Seal(Sealer::new(&DirectionKeys::from_bytes(&[1; 32], &[2; 32])));
    let mut direction = Direction::new(framing, Coalescer::new(false, now));
    let (mut scratch, budget, fairness) = (Scratch::new(), Budget::new(1 << 20), Fairness::new());
    let mut turn = |direction: &mut Direction| {
        let mut context = TurnContext { scratch: &mut scratch, budget: &budget, fairness: &fairness, others: 0, now };
        direction.became_readable(false);
        direction.turn(&from, &to, &mut context, |_| {}).expect("a turn");
        direction.take_sent()
    };
    assert!(direction.take_sent(), "the handshake sent something");
    assert!(!turn(&mut direction), "there is nothing to send");
    for _ in 0..2 {
        program.write_all(b"data").expect("writes");
        assert!(turn(&mut direction));
        assert!(!direction.take_sent());
    }
}
