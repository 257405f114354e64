use std::{io::Write, os::unix::net::UnixStream, panic, sync::mpsc::channel};

#[cfg(target_os = "linux")]
use {
    socket2::SockRef,
    std::net::{TcpListener, TcpStream},
};

use super::*;
use crate::{connection::Pair, framing::Framing};
use spiped_core::{DirectionKeys, Sealer};

/// How long a test waits for something that takes far less time.
const LIMIT: Duration = Duration::from_secs(60);

/// A connection that reports its end to `on_end`, and the sockets connected with its source and its target.
fn connection(framing: fn() -> Framing, on_end: impl FnOnce(End) + Send + 'static) -> (Connection, [UnixStream; 2]) {
    let (program, source) = UnixStream::pair().expect("a pair of sockets");
    let (target, service) = UnixStream::pair().expect("a pair of sockets");
    let pair = Pair { source: source.into(), target: target.into(), forward: framing(), reverse: framing() };
    let connection = Connection::new(pair, Arc::default(), true, Box::new(|ended| on_end(ended.end)));
    (connection, [program, service])
}

#[test]
fn a_panic_ends_only_its_own_connection() {
    panic::set_hook(Box::new(|_| {}));
    let (worker, inbox) = Worker::new(Budget::new(1_000), Arc::new(Fairness::new())).expect("a worker");
    let thread = thread::spawn(|| worker.run());
    let (sender, ends) = channel();
    let add = |id, framing: fn() -> Framing| {
        let sender = sender.clone();
        let (connection, sockets) = connection(framing, move |end| {
            sender.send((id, end)).expect("the test receives it");
            assert!(id != 2, "a panic in the callback");
        });
        inbox.send(Command::Add(id, Box::new(connection)));
        sockets
    };
    let good = add(1, || Framing::Seal(Sealer::new(&DirectionKeys::from_bytes(&[1; 32], &[2; 32]))));
    for id in [2, 3] {
        let [mut program, _service] = add(id, || Framing::Panics);
        program.write_all(b"x").expect("is written");
        let (ended, end) = ends.recv_timeout(LIMIT).expect("the connection ends");
        assert!(ended == id && matches!(&end, End::Failed(message) if message == "asked to panic"), "{end:?}");
    }
    assert_eq!(inbox.connections(), 1);
    drop(good);
    assert!(matches!(ends.recv_timeout(LIMIT).expect("the connection ends"), (1, _)));
    inbox.send(Command::Stop);
    thread.join().expect("the thread did not panic");
}

/// Needs root, for a network namespace that loses packets.
#[cfg(target_os = "linux")]
#[test]
fn with_keep_alive_a_connection_ends_if_the_peer_acknowledges_nothing() {
    let ip = |arguments: &str| std::process::Command::new("ip").args(arguments.split(' ')).status();
    let alone = nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).is_ok();
    if !alone || !ip("link set lo up").is_ok_and(|status| status.success()) {
        return eprintln!("SKIPPED: needs root and the command ip for a network namespace: NOTHING was tested");
    }
    let (mut worker, inbox) = Worker::new(Budget::new(1_000), Arc::new(Fairness::new())).expect("a worker");
    worker.liveness_interval = Duration::from_millis(20);
    let thread = thread::spawn(|| worker.run());
    let (sender, ends) = channel();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let mut others = Vec::new();
    for (id, keeps_alive) in [(1, false), (2, true)] {
        let (mut program, source) = UnixStream::pair().expect("a pair of sockets");
        let target = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
        let second = Duration::from_secs(1);
        let timing = socket2::TcpKeepalive::new().with_time(second).with_interval(second).with_retries(1);
        SockRef::from(&target).set_tcp_keepalive(&timing).expect("keep-alive");
        SockRef::from(&target).set_keepalive(keeps_alive).expect("keep-alive");
        let framing = || Framing::Seal(Sealer::new(&DirectionKeys::from_bytes(&[1; 32], &[2; 32])));
        let pair = Pair { source: source.into(), target: target.into(), forward: framing(), reverse: framing() };
        let sender = sender.clone();
        let on_end = move |ended: crate::Ended| sender.send((id, ended.end)).expect("the test receives it");
        let connection = Connection::new(pair, Arc::default(), true, Box::new(on_end));
        inbox.send(Command::Add(id, Box::new(connection)));
        program.write_all(b"it arrives").expect("is written");
        others.push((program, listener.accept().expect("a client")));
    }
    assert!(ip("link set lo down").is_ok_and(|status| status.success()));
    let lost_at = Instant::now();
    for (program, _) in &mut others {
        program.write_all(b"it is lost").expect("is written");
    }
    let (ended, end) = ends.recv_timeout(LIMIT).expect("one connection ends");
    assert!(lost_at.elapsed() > Duration::from_secs(1), "the peer had time to answer");
    let End::Broken { side: Side::Target, error } = end else { panic!("{end:?}") };
    assert_eq!((ended, error.raw_os_error()), (2, Some(libc::ETIMEDOUT)));
    assert_eq!(inbox.connections(), 1);
    inbox.send(Command::Stop);
    thread.join().expect("the thread did not panic");
    assert!(matches!(ends.recv_timeout(LIMIT).expect("the connection ends"), (1, End::Cancelled)));
}

#[test]
fn the_pause_doubles_with_each_failed_round_up_to_a_second() {
    let pauses = [0, 1, 2, 3, 4, 11, 12, u32::MAX].map(|failures| pause_after(failures).as_millis());
    assert_eq!(pauses, [0, 0, 1, 2, 4, 512, 1_000, 1_000]);
}

#[test]
fn a_panic_between_commands_loses_no_command() {
    panic::set_hook(Box::new(|_| {}));
    let (worker, inbox) = Worker::new(Budget::new(1_000), Arc::new(Fairness::new())).expect("a worker");
    let (sender, ends) = channel();
    let mut sockets = Vec::new();
    for id in [1, 2] {
        let sender = sender.clone();
        let framing = || Framing::Seal(Sealer::new(&DirectionKeys::from_bytes(&[1; 32], &[2; 32])));
        let (connection, peers) = connection(framing, move |end| sender.send((id, end)).expect("the test receives it"));
        sockets.push(peers);
        inbox.send(Command::Add(id, Box::new(connection)));
        inbox.send(Command::Panic);
    }
    inbox.send(Command::Stop);
    inbox.send(Command::Panic);
    drop(sender);
    // The thread starts last, so that it finds all commands in the inbox.
    let thread = thread::spawn(|| worker.run());
    for _ in 0..2 {
        let (_, end) = ends.recv_timeout(LIMIT).expect("each connection ends");
        assert!(matches!(&end, End::Failed(message) if message == "asked to panic"), "{end:?}");
    }
    assert_eq!(inbox.connections(), 0);
    thread.join().expect("the thread did not panic");
}
