//! Accepting, connecting and exact reads: each event is reported once and correctly. Longer than most files,
//! since all tests share the helpers, and another file would be another program to link.
#![cfg(unix)]

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    os::{
        fd::AsRawFd,
        unix::net::{UnixListener, UnixStream},
    },
    path::PathBuf,
    time::{Duration, Instant},
};

use socket2::{SockAddr, SockRef, Socket};
use spiped_sockets::{Event, Id, KeepAlive, MAX_EXPECTED_BYTES, Options, Owner, Sockets};

/// How long a test waits for something that takes far less time.
const LIMIT: Duration = Duration::from_secs(60);
const PLAIN: Options = Options { keep_alive: None, resets_on_close: false };
const CAREFUL: Options = Options {
    keep_alive: Some(KeepAlive { idle: Duration::from_secs(60), interval: Duration::from_secs(10), probes: 6 }),
    resets_on_close: true,
};

#[derive(Debug, PartialEq)]
enum Reported {
    Acceptable,
    Connected,
    Arrived(Vec<u8>),
    Ended(usize),
    Failed(ErrorKind),
}

fn poll(sockets: &mut Sockets) -> Vec<(Id, Reported)> {
    let mut reported = Vec::new();
    let on_event = |id, event: Event<'_>| {
        reported.push((
            id,
            match event {
                Event::Acceptable => Reported::Acceptable,
                Event::Connected => Reported::Connected,
                Event::Arrived(bytes) => Reported::Arrived(bytes.to_vec()),
                Event::Ended(arrived) => Reported::Ended(arrived),
                Event::Failed(error) => Reported::Failed(error.kind()),
            },
        ));
    };
    sockets.poll(on_event).expect("polls");
    reported
}

/// Waits for the next event.
fn next(sockets: &mut Sockets) -> (Id, Reported) {
    let start = Instant::now();
    loop {
        let mut reported = poll(sockets);
        assert!(reported.len() <= 1, "{reported:?}");
        if let Some(one) = reported.pop() {
            return one;
        }
        assert!(start.elapsed() < LIMIT, "no event");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn listening(options: Options) -> (Sockets, Id, SocketAddr) {
    let mut sockets = Sockets::new().expect("a poller");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listens");
    let address = listener.local_addr().expect("an address");
    let id = sockets.listen(listener.into(), Owner::Us, options).expect("is watched");
    (sockets, id, address)
}

fn unix_listener(name: &str) -> (PathBuf, UnixListener) {
    let path = std::env::temp_dir().join(format!("spiped-sockets-{name}-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).expect("listens");
    (path, listener)
}

fn accepted(options: Options) -> (Sockets, Id, TcpStream) {
    let (mut sockets, listener, address) = listening(options);
    let peer = TcpStream::connect(address).expect("connects");
    assert_eq!(next(&mut sockets), (listener, Reported::Acceptable));
    let (id, _) = sockets.accept(listener).expect("accepts").expect("a client");
    (sockets, id, peer)
}

fn stream_of(sockets: &mut Sockets, id: Id) -> TcpStream {
    let stream = TcpStream::from(Socket::from(sockets.take(id).expect("is registered")));
    stream.set_nonblocking(false).expect("is set");
    stream
}

#[test]
fn each_client_is_accepted_once_with_its_address() {
    let (mut sockets, listener, address) = listening(PLAIN);
    assert!(sockets.accept(listener).expect("accepts").is_none());
    let peers = [0, 1].map(|_| TcpStream::connect(address).expect("connects"));
    assert_eq!(next(&mut sockets), (listener, Reported::Acceptable));
    for peer in &peers {
        let (_, address) = sockets.accept(listener).expect("accepts").expect("a client");
        assert_eq!(address.as_socket(), peer.local_addr().ok());
    }
    assert!(sockets.accept(listener).expect("accepts").is_none());
}

#[test]
fn waiting_clients_are_reported_again_only_on_request() {
    let (mut sockets, listener, address) = listening(PLAIN);
    let _peer = TcpStream::connect(address).expect("connects");
    assert_eq!(next(&mut sockets), (listener, Reported::Acceptable));
    assert_eq!(poll(&mut sockets), []);
    sockets.rearm(listener).expect("is watched");
    assert_eq!(next(&mut sockets), (listener, Reported::Acceptable));
    assert!(sockets.accept(listener).expect("accepts").is_some());
}

#[test]
fn accepted_and_dialed_sockets_have_the_options() {
    let target = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listens");
    for options in [PLAIN, CAREFUL] {
        let (mut sockets, id, _peer) = accepted(options);
        let dialed = sockets.connect(&target.local_addr().expect("an address").into(), options).expect("connects");
        assert_eq!(next(&mut sockets), (dialed, Reported::Connected));
        for id in [id, dialed] {
            let stream = stream_of(&mut sockets, id);
            let socket = SockRef::from(&stream);
            assert!(socket.tcp_nodelay().expect("nodelay"));
            assert_eq!(socket.keepalive().expect("keepalive"), options.keep_alive.is_some());
            assert_eq!(socket.linger().expect("linger"), options.resets_on_close.then_some(Duration::ZERO));
            if let Some(KeepAlive { idle, interval, probes }) = options.keep_alive {
                assert_eq!(socket.tcp_keepalive_time().expect("time"), idle);
                assert_eq!(socket.tcp_keepalive_interval().expect("interval"), interval);
                assert_eq!(socket.tcp_keepalive_retries().expect("probes"), probes);
            }
        }
    }
}

#[test]
fn a_refused_connection_is_reported_and_removed() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listens");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let mut sockets = Sockets::new().expect("a poller");
    match sockets.connect(&address.into(), PLAIN) {
        Ok(id) => assert_eq!(next(&mut sockets), (id, Reported::Failed(ErrorKind::ConnectionRefused))),
        // Some systems report it at once.
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionRefused),
    }
    assert!(sockets.is_empty());
}

#[test]
fn connects_to_a_unix_socket_and_sends() {
    let (path, listener) = unix_listener("connects");
    let mut sockets = Sockets::new().expect("a poller");
    let id = sockets.connect(&SockAddr::unix(&path).expect("an address"), CAREFUL).expect("connects");
    std::fs::remove_file(&path).expect("is removed");
    assert_eq!(next(&mut sockets), (id, Reported::Connected));
    sockets.send(id, b"hello").expect("sends");
    sockets.close(id, false);
    let mut peer: UnixStream = listener.accept().expect("accepts").0;
    let mut all = Vec::new();
    peer.read_to_end(&mut all).expect("reads");
    assert_eq!(all, b"hello");
    let missing = sockets.connect(&SockAddr::unix(&path).expect("an address"), PLAIN);
    assert_eq!(missing.map_err(|error| error.kind()), Err(ErrorKind::NotFound), "fails at once");
    assert!(sockets.is_empty());
}

#[test]
fn expected_bytes_arrive_together_and_nothing_after_them_is_read() {
    let (mut sockets, id, mut peer) = accepted(PLAIN);
    sockets.expect(id, 5).expect("is watched");
    peer.write_all(b"abc").expect("writes");
    assert_eq!(poll(&mut sockets), [], "too few bytes cause no event");
    assert_eq!(sockets.arrived(id), b"abc", "but can be queried");
    peer.write_all(b"defgrest").expect("writes");
    assert_eq!(next(&mut sockets), (id, Reported::Arrived(b"abcde".to_vec())));
    assert_eq!(poll(&mut sockets), [], "no more are expected");
    assert_eq!(sockets.arrived(id), b"", "they were reported");
    // Bytes that arrived earlier are reported too.
    sockets.expect(id, 2).expect("is watched");
    assert_eq!(next(&mut sockets), (id, Reported::Arrived(b"fg".to_vec())));
    let mut rest = [0; 4];
    stream_of(&mut sockets, id).read_exact(&mut rest).expect("reads");
    assert_eq!(&rest, b"rest");
}

#[test]
fn no_bytes_and_too_many_cannot_be_expected() {
    let (mut sockets, id, _peer) = accepted(PLAIN);
    for length in [0, MAX_EXPECTED_BYTES + 1] {
        assert_eq!(sockets.expect(id, length).map_err(|error| error.kind()), Err(ErrorKind::InvalidInput));
    }
    sockets.expect(id, MAX_EXPECTED_BYTES).expect("is watched");
}

#[test]
fn bytes_that_nobody_expects_cause_no_event_and_stay_in_the_socket() {
    let (path, listener) = unix_listener("unexpected");
    let mut sockets = Sockets::new().expect("a poller");
    let listening = sockets.listen(listener.into(), Owner::Us, PLAIN).expect("is watched");
    // What is written to a UNIX socket has arrived at once.
    let mut peer = UnixStream::connect(&path).expect("connects");
    std::fs::remove_file(&path).expect("is removed");
    assert_eq!(poll(&mut sockets), [(listening, Reported::Acceptable)]);
    let (id, _) = sockets.accept(listening).expect("accepts").expect("a client");
    sockets.expect(id, 1).expect("is watched");
    peer.write_all(b"x").expect("writes");
    assert_eq!(poll(&mut sockets), [(id, Reported::Arrived(b"x".to_vec()))]);
    peer.write_all(b"y").expect("writes");
    assert_eq!(poll(&mut sockets), []);
    sockets.expect(id, 1).expect("is watched");
    assert_eq!(poll(&mut sockets), [(id, Reported::Arrived(b"y".to_vec()))]);
}

#[test]
fn the_descriptor_of_the_set_is_readable_while_there_are_events() {
    let (mut sockets, listener, address) = listening(PLAIN);
    let (mut outer, mut events) = (mio::Poll::new().expect("a poller"), mio::Events::with_capacity(1));
    let descriptor = sockets.as_raw_fd();
    let mut source = mio::unix::SourceFd(&descriptor);
    outer.registry().register(&mut source, mio::Token(0), mio::Interest::READABLE).expect("is watched");
    outer.poll(&mut events, Some(Duration::ZERO)).expect("polls");
    assert!(events.is_empty(), "no client has connected");
    let _peer = TcpStream::connect(address).expect("connects");
    outer.poll(&mut events, Some(LIMIT)).expect("polls");
    assert!(!events.is_empty(), "a client has connected");
    assert_eq!(next(&mut sockets), (listener, Reported::Acceptable));
}

#[test]
fn each_socket_in_the_set_has_the_descriptor_that_is_returned_when_it_is_taken() {
    let (mut sockets, id, _peer) = accepted(PLAIN);
    assert!(!sockets.is_empty());
    let descriptor = sockets.descriptor(id);
    assert_eq!(sockets.take(id).ok().map(|taken| taken.as_raw_fd()), descriptor);
    assert_eq!(sockets.descriptor(id), None);
}

#[test]
fn an_end_and_a_reset_are_each_reported_once() {
    let (mut sockets, id, mut peer) = accepted(PLAIN);
    sockets.expect(id, 5).expect("is watched");
    peer.write_all(b"abc").expect("writes");
    peer.shutdown(Shutdown::Write).expect("ends");
    assert_eq!(next(&mut sockets), (id, Reported::Ended(3)));
    assert_eq!(poll(&mut sockets), []);
    assert_eq!(sockets.arrived(id), b"abc");

    let (mut sockets, id, peer) = accepted(PLAIN);
    sockets.expect(id, 5).expect("is watched");
    (&peer).write_all(b"ab").expect("writes");
    SockRef::from(&peer).set_linger(Some(Duration::ZERO)).expect("resets");
    drop(peer);
    assert_eq!(next(&mut sockets), (id, Reported::Failed(ErrorKind::ConnectionReset)));
    assert_eq!(poll(&mut sockets), []);
    #[cfg(target_os = "linux")]
    assert_eq!(sockets.arrived(id), b"ab");
    sockets.close(id, false);
    assert_eq!(sockets.arrived(id), b"");
}

#[test]
fn closing_ends_or_resets_regardless_of_earlier_options() {
    for (before, resets) in [(PLAIN, false), (CAREFUL, false), (PLAIN, true), (CAREFUL, true)] {
        let (mut sockets, id, mut peer) = accepted(before);
        sockets.close(id, resets);
        sockets.close(id, resets);
        let end = peer.read(&mut [0]).map_err(|error| error.kind());
        assert_eq!(end, if resets { Err(ErrorKind::ConnectionReset) } else { Ok(0) });
    }
}

#[test]
fn dropping_resets_sockets_with_reset_on_close() {
    let (mut sockets, id, mut peer) = accepted(PLAIN);
    sockets.reset_on_close(id, true).expect("is set");
    drop(sockets);
    assert_eq!(peer.read(&mut [0]).map_err(|error| error.kind()), Err(ErrorKind::ConnectionReset));
}

#[test]
fn a_socket_that_was_taken_has_no_events_and_its_id_is_not_reused_soon() {
    let (mut sockets, id, mut peer) = accepted(PLAIN);
    sockets.expect(id, 1).expect("is watched");
    let mut stream = stream_of(&mut sockets, id);
    peer.write_all(b"x").expect("writes");
    let mut byte = [0];
    stream.read_exact(&mut byte).expect("reads");
    assert_eq!(poll(&mut sockets), []);
    for result in [sockets.send(id, b"x"), sockets.expect(id, 1), sockets.take(id).map(drop)] {
        assert!(result.is_err());
    }
    let target = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listens");
    let other = sockets.connect(&target.local_addr().expect("an address").into(), PLAIN).expect("connects");
    assert_ne!(other, id);
}

#[test]
fn sending_to_a_full_socket_fails_without_blocking() {
    let (mut sockets, id, _peer) = accepted(PLAIN);
    let much = vec![0; 1 << 20];
    let refused: io::Error = (0..1_000).find_map(|_| sockets.send(id, &much).err()).expect("is full");
    assert_eq!(refused.kind(), ErrorKind::WouldBlock);
    // More than any buffer: a part is sent.
    let (mut sockets, id, _peer) = accepted(PLAIN);
    assert_eq!(sockets.send(id, &vec![0; 1 << 26]).map_err(|error| error.kind()), Err(ErrorKind::WouldBlock));
}

#[test]
fn an_error_of_accept_is_not_taken_for_a_lack_of_clients() {
    let mut sockets = Sockets::new().expect("a poller");
    let unbound = Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    let id = sockets.listen(unbound.into(), Owner::Us, PLAIN).expect("is watched");
    let refused = sockets.accept(id).map(|client| client.is_some()).map_err(|error| error.kind());
    assert_eq!(refused, Err(ErrorKind::InvalidInput), "it is not listening");
}

#[test]
fn clients_that_connected_before_listen_have_the_options_too() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listening socket");
    let address = listener.local_addr().expect("an address");
    let _early = TcpStream::connect(address).expect("a client");
    let mut sockets = Sockets::new().expect("sockets");
    let listening = sockets.listen(listener.into(), Owner::Us, CAREFUL).expect("is watched");
    let mut accepted = || {
        let (id, _) = sockets.accept(listening).expect("accepts")?;
        let client = Socket::from(sockets.take(id).expect("a socket"));
        Some((
            client.tcp_nodelay().expect("no delay"),
            client.keepalive().expect("keep-alive"),
            client.linger().expect("linger"),
        ))
    };
    let expected = Some((true, true, Some(Duration::ZERO)));
    assert_eq!(accepted(), expected);
    let _late = TcpStream::connect(address).expect("a client");
    assert_eq!(accepted(), expected);
    assert_eq!(accepted(), None, "and from now on they are inherited, where the system does that");
    let _last = TcpStream::connect(address).expect("a client");
    assert_eq!(accepted(), expected);
}

#[test]
fn a_listening_socket_with_a_reused_descriptor_has_its_own_options() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listening socket");
    let address = listener.local_addr().expect("an address");
    let mut sockets = Sockets::new().expect("sockets");
    // Both copies are likely to get the same descriptor number.
    let copy = || listener.try_clone().expect("a copy");
    let before = sockets.listen(copy().into(), Owner::Us, CAREFUL).expect("is watched");
    sockets.close(before, false);
    let listening = sockets.listen(copy().into(), Owner::Us, PLAIN).expect("is watched");
    let _client = TcpStream::connect(address).expect("a client");
    let (id, _) = sockets.accept(listening).expect("accepts").expect("a client");
    let client = Socket::from(sockets.take(id).expect("a socket"));
    assert!(!client.keepalive().expect("keep-alive"));
}

#[test]
fn accept_does_not_block_after_another_process_makes_the_socket_blocking() {
    let mut sockets = Sockets::new().expect("a poller");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listens");
    let other_process = listener.try_clone().expect("a second descriptor");
    let id = sockets.listen(listener.into(), Owner::ServiceManager, CAREFUL).expect("is watched");
    other_process.set_nonblocking(false).expect("is set");
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(sockets.accept(id).map(|client| client.is_some())));
    let is_client = receiver.recv_timeout(LIMIT).expect("accept does not block");
    assert!(!is_client.expect("accepts"));
}

#[test]
fn a_shared_socket_is_not_changed_and_accepted_sockets_have_the_options() {
    for (options, lingers) in [(CAREFUL, Some(Duration::ZERO)), (PLAIN, None)] {
        let mut sockets = Sockets::new().expect("a poller");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listens");
        let address = listener.local_addr().expect("an address");
        let other_process = Socket::from(listener.try_clone().expect("a second descriptor"));
        // An option that another process set, and that every client inherits.
        let left = if lingers.is_none() { Some(Duration::ZERO) } else { None };
        other_process.set_linger(left).expect("is set");
        let id = sockets.listen(listener.into(), Owner::ServiceManager, options).expect("is watched");
        assert!(sockets.accept(id).expect("no client yet").is_none());
        let _peer = TcpStream::connect(address).expect("connects");
        assert_eq!(next(&mut sockets), (id, Reported::Acceptable));
        let (client, _) = sockets.accept(id).expect("accepts").expect("a client");
        let stream = stream_of(&mut sockets, client);
        let socket = SockRef::from(&stream);
        assert_eq!(socket.linger().expect("is queried"), lingers);
        assert_eq!(socket.keepalive().expect("is queried"), options.keep_alive.is_some());
        assert!(socket.tcp_nodelay().expect("is queried"));
        assert_eq!(other_process.linger().expect("is queried"), left);
        assert!(!other_process.keepalive().expect("is queried") && !other_process.tcp_nodelay().expect("is queried"));
    }
}
