//! One thread of the relay: waits until sockets are ready and gives each direction that can do something one turn after
//! the other, so that a busy connection never keeps a quiet one waiting for more than a turn of everybody else.

use std::{
    any::Any,
    collections::{HashMap, VecDeque},
    io::{self, ErrorKind},
    mem,
    ops::ControlFlow,
    os::fd::AsRawFd,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token, Waker, event::Event, unix::SourceFd};
use slab::Slab;
use socket2::SockRef;

use crate::{
    budget::Budget,
    connection::{Connection, End, Side, Way},
    courtesy::Courtesy,
    direction::{Next, Scratch, Surroundings},
    silence::{Answer, Vigil},
};

const WAKE: Token = Token(usize::MAX);
pub(crate) const EVENTS: usize = 256;
/// How often it is asked whether what was sent has been acknowledged.
const VIGIL: Duration = Duration::from_secs(10);

/// What others want of a worker.
pub(crate) enum Command {
    Add(u64, Box<Connection>),
    Cancel(u64),
    Stop,
    /// For tests of what a mistake costs.
    #[cfg(test)]
    Panic,
}

/// How others reach a worker.
pub(crate) struct Inbox {
    commands: Mutex<VecDeque<Command>>,
    waker: Waker,
    connections: AtomicUsize,
}

impl Inbox {
    pub(crate) fn send(&self, command: Command) {
        if matches!(command, Command::Add(..)) {
            self.connections.fetch_add(1, Ordering::Relaxed);
        }
        self.commands().push_back(command);
        // A full pipe, the only way to fail, wakes as well.
        let _ = self.waker.wake();
    }

    fn commands(&self) -> MutexGuard<'_, VecDeque<Command>> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connections that it serves or is about to.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

struct Slot {
    id: u64,
    connection: Connection,
    /// Whether each way is in the queue.
    queued: [bool; 2],
    /// Whether each side has been sent something that it may not have acknowledged.
    sent: [bool; 2],
    vigils: [Vigil; 2],
}

/// See the head of this file.
pub(crate) struct Worker {
    poll: Poll,
    inbox: Arc<Inbox>,
    budget: Budget,
    courtesy: Arc<Courtesy>,
    slots: Slab<Slot>,
    keys: HashMap<u64, usize>,
    queue: VecDeque<(usize, Way)>,
    /// Reads that wait, in the order of their times, since all wait equally long; some have been overtaken.
    waits: VecDeque<(Instant, u64, Way)>,
    /// How often, and when next, those that were sent something are looked at.
    vigil: Duration,
    next_vigil: Option<Instant>,
    scratch: Scratch,
    /// It was told to stop, whatever panics afterwards.
    stops: bool,
    /// Rounds in a row that panicked or could not wait for sockets.
    failures: u32,
}

impl Worker {
    pub(crate) fn new(budget: Budget, courtesy: Arc<Courtesy>) -> io::Result<(Self, Arc<Inbox>)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKE)?;
        let inbox = Arc::new(Inbox { commands: Mutex::default(), waker, connections: AtomicUsize::new(0) });
        let worker = Self {
            poll,
            inbox: Arc::clone(&inbox),
            budget,
            courtesy,
            slots: Slab::new(),
            keys: HashMap::new(),
            queue: VecDeque::new(),
            waits: VecDeque::new(),
            vigil: VIGIL,
            next_vigil: None,
            scratch: Scratch::new(),
            stops: false,
            failures: 0,
        };
        Ok((worker, inbox))
    }

    /// Serves until it is told to stop; then it cancels what it still has.
    pub(crate) fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS);
        loop {
            if self.failures > 1 {
                thread::sleep(pause_after(self.failures));
            }
            // A turn catches its own panics. One anywhere else costs this thread's connections, and not the thread.
            match catch_unwind(AssertUnwindSafe(|| self.round(&mut events, self.longest_sleep()))) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => return self.end_all(|| End::Cancelled),
                Err(panic) => {
                    self.failures = self.failures.saturating_add(1);
                    self.end_all(|| End::Failed(words_of(&*panic)));
                    // For commands that it has left behind: who sent them has woken this thread already.
                    let _ = self.inbox.waker.wake();
                }
            }
        }
    }

    /// Waits for something to do, for so long at most, and gives each direction that can do it one turn.
    pub(crate) fn round(&mut self, events: &mut Events, longest_sleep: Option<Duration>) -> ControlFlow<()> {
        events.clear();
        #[cfg(feature = "panics")]
        crate::panic_if_asked("relay round");
        let failed = match self.poll.poll(events, longest_sleep) {
            Err(error) if error.kind() != ErrorKind::Interrupted => Some(error),
            _ => None,
        };
        for event in events.iter().filter(|event| event.token() != WAKE) {
            self.heed(event);
        }
        if self.obey() {
            return ControlFlow::Break(());
        }
        if let Some(error) = &failed {
            self.failures = self.failures.saturating_add(1);
            self.end_all(|| End::Failed(format!("cannot wait for sockets: {error}")));
        }
        self.wake_waiting();
        self.keep_vigil();
        let turns = self.queue.len();
        for _ in 0..turns {
            if let Some((key, way)) = self.queue.pop_front() {
                self.turn(key, way);
            }
        }
        if turns > 1 && self.courtesy.is_due(Instant::now()) {
            thread::yield_now();
        }
        if failed.is_none() {
            self.failures = 0;
        }
        ControlFlow::Continue(())
    }

    /// When the next turn is due although no socket becomes ready: at once, or after a wait.
    #[cfg(feature = "stepped")]
    pub(crate) fn next_turn(&self) -> Option<Instant> {
        match self.queue.is_empty() {
            false => Some(Instant::now()),
            true => self.waits.front().map(|&(until, ..)| until),
        }
    }

    fn longest_sleep(&self) -> Option<Duration> {
        if !self.queue.is_empty() {
            return Some(Duration::ZERO);
        }
        let next = self.waits.front().map(|&(until, ..)| until).into_iter().chain(self.next_vigil).min();
        next.map(|until| until.saturating_duration_since(Instant::now()))
    }

    fn heed(&mut self, event: &Event) {
        let (key, side) = key_and_side(event.token());
        let Some(Slot { connection, .. }) = self.slots.get_mut(key) else { return };
        let (reading, writing) = match side {
            Side::Source => (Way::Forward, Way::Reverse),
            Side::Target => (Way::Reverse, Way::Forward),
        };
        let end_in_sight = event.is_read_closed() || event.is_error() || event.is_write_closed();
        let reads = event.is_readable() || end_in_sight;
        if reads {
            connection.direction(reading).became_readable(end_in_sight);
        }
        // A socket that has bytes to read is told to be writable as well, each time; most have been so all along.
        let writes = end_in_sight || (event.is_writable() && !connection.direction(writing).is_writable());
        if writes {
            connection.direction(writing).became_writable();
        }
        if event.is_error()
            && let Some(end) = connection.socket_failed(side)
        {
            return self.end(key, end);
        }
        if reads {
            self.enqueue(key, reading);
        }
        if writes {
            self.enqueue(key, writing);
        }
    }

    /// Does what others want. True where that is to stop.
    fn obey(&mut self) -> bool {
        // One by one: a panic must not take those behind it along, whose owners would never hear of an end.
        let count = self.inbox.commands().len();
        for _ in 0..count {
            let next = self.inbox.commands().pop_front();
            let Some(command) = next else { break };
            match command {
                Command::Add(id, connection) => self.add(id, *connection),
                Command::Cancel(id) => {
                    if let Some(&key) = self.keys.get(&id) {
                        self.end(key, End::Cancelled);
                    }
                }
                Command::Stop => self.stops = true,
                #[cfg(test)]
                Command::Panic => panic!("asked to panic"),
            }
        }
        self.stops
    }

    fn add(&mut self, id: u64, connection: Connection) {
        let slot = Slot { id, connection, queued: [false; 2], sent: [false; 2], vigils: Default::default() };
        let key = self.slots.insert(slot);
        #[cfg(feature = "panics")]
        crate::panic_if_asked("relay add");
        self.keys.insert(id, key);
        if let Err(error) = self.watch(key) {
            return self.end(key, End::Failed(format!("cannot watch a socket: {error}")));
        }
        self.enqueue(key, Way::Forward);
        self.enqueue(key, Way::Reverse);
    }

    fn watch(&mut self, key: usize) -> io::Result<()> {
        let connection = &self.slots[key].connection;
        for side in [Side::Source, Side::Target] {
            let socket = connection.socket(side);
            socket.set_nonblocking(true)?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut SourceFd(&socket.as_raw_fd()), token(key, side), interest)?;
        }
        Ok(())
    }

    fn enqueue(&mut self, key: usize, way: Way) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        let queued = &mut slot.queued[way as usize];
        if !*queued {
            *queued = true;
            self.queue.push_back((key, way));
        }
    }

    fn wake_waiting(&mut self) {
        if self.waits.is_empty() {
            return;
        }
        let now = Instant::now();
        while let Some(&(until, id, way)) = self.waits.front()
            && until <= now
        {
            self.waits.pop_front();
            let Some(&key) = self.keys.get(&id) else { continue };
            let direction = self.slots[key].connection.direction(way);
            // It may have stopped waiting, and wait anew by now.
            if direction.waits_until() == Some(until) {
                direction.stop_waiting();
                self.enqueue(key, way);
            }
        }
    }

    /// Ends connections whose other side has gone without a word while something was on the way to it.
    fn keep_vigil(&mut self) {
        let now = Instant::now();
        if self.next_vigil.is_none_or(|next| next > now) {
            return;
        }
        let mut gone = Vec::new();
        let mut awaits = false;
        for (key, Slot { connection, sent, vigils, .. }) in &mut self.slots {
            for side in [Side::Source, Side::Target] {
                if !mem::take(&mut sent[side as usize]) {
                    continue;
                }
                match vigils[side as usize].look(&SockRef::from(connection.socket(side)), now) {
                    Answer::Nothing => {}
                    Answer::Awaited => {
                        sent[side as usize] = true;
                        awaits = true;
                    }
                    Answer::Never => gone.push((key, side)),
                }
            }
        }
        self.next_vigil = awaits.then(|| now + self.vigil);
        gone.dedup_by_key(|&mut (key, _)| key);
        for (key, side) in gone {
            self.end(key, End::Broken { side, error: io::Error::from_raw_os_error(libc::ETIMEDOUT) });
        }
    }

    fn turn(&mut self, key: usize, way: Way) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        slot.queued[way as usize] = false;
        let others = self.queue.len();
        let (scratch, budget, courtesy) = (&mut self.scratch, &self.budget, &*self.courtesy);
        let now = Instant::now();
        let mut around = Surroundings { scratch, budget, courtesy, others, now };
        let answer = slot.connection.direction(way.other()).waits_until().is_some();
        // A mistake of ours costs this connection. What it leaves behind is dropped with it, or written over.
        let turn = catch_unwind(AssertUnwindSafe(|| {
            #[cfg(feature = "panics")]
            crate::panic_if_asked("relay turn");
            slot.connection.turn(way, &mut around)
        }));
        let id = slot.id;
        match turn {
            Ok(Ok(turn)) => {
                if slot.connection.direction(way).take_sent() {
                    slot.sent[way.receiver() as usize] = true;
                    self.next_vigil.get_or_insert(now + self.vigil);
                }
                match turn.next {
                    Next::Turn => self.enqueue(key, way),
                    Next::Until(until) => self.waits.push_back((until, id, way)),
                    Next::Readiness => {}
                    Next::Nothing if self.slots[key].connection.is_ended() => return self.end(key, End::Orderly),
                    Next::Nothing => {}
                }
                if turn.moved && answer {
                    self.enqueue(key, way.other());
                }
            }
            Ok(Err(end)) => self.end(key, end),
            Err(panic) => self.end(key, End::Failed(words_of(&*panic))),
        }
    }

    fn end(&mut self, key: usize, end: End) {
        let Slot { id, connection, queued, .. } = self.slots.remove(key);
        self.keys.remove(&id);
        if queued != [false; 2] {
            self.queue.retain(|&(queued_key, _)| queued_key != key);
        }
        for side in [Side::Source, Side::Target] {
            // One that could not be watched is not there.
            let _ = self.poll.registry().deregister(&mut SourceFd(&connection.socket(side).as_raw_fd()));
        }
        self.inbox.connections.fetch_sub(1, Ordering::Relaxed);
        // A panic of the owner's is the owner's. What it was given is dropped.
        let _ = catch_unwind(AssertUnwindSafe(|| connection.end(end)));
    }

    fn end_all(&mut self, end: impl Fn() -> End) {
        let keys: Vec<usize> = self.slots.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.end(key, end());
        }
    }
}

/// How long to pause after this many failed rounds in a row: not after the first, then twice as long each time, up to a
/// second. Otherwise a failure that recurs at once would keep a processor busy.
fn pause_after(failures: u32) -> Duration {
    match failures {
        0 | 1 => Duration::ZERO,
        _ => Duration::from_millis(1 << (failures - 2).min(10)).min(Duration::from_secs(1)),
    }
}

fn token(key: usize, side: Side) -> Token {
    Token(key * 2 + side as usize)
}

fn key_and_side(Token(token): Token) -> (usize, Side) {
    (token / 2, if token.is_multiple_of(2) { Side::Source } else { Side::Target })
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    let words = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    words.unwrap_or("a panic without words").to_owned()
}

#[cfg(test)]
mod tests {
    use std::{io::Write, os::unix::net::UnixStream, panic, sync::mpsc::channel};

    #[cfg(target_os = "linux")]
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::{connection::Pair, framing::Framing};
    use spiped_core::{DirectionKeys, Sealer};

    /// A connection whose owner hears of its end, and the socket that is connected with its source.
    fn connection(
        framing: fn() -> Framing,
        on_end: impl FnOnce(End) + Send + 'static,
    ) -> (Connection, [UnixStream; 2]) {
        let (program, source) = UnixStream::pair().expect("a pair of sockets");
        let (target, service) = UnixStream::pair().expect("a pair of sockets");
        let pair = Pair { source: source.into(), target: target.into(), forward: framing(), reverse: framing() };
        let connection = Connection::new(pair, Arc::default(), true, Box::new(|ended| on_end(ended.end)));
        (connection, [program, service])
    }

    #[test]
    fn a_panic_ends_its_connection_and_nothing_else() {
        panic::set_hook(Box::new(|_| {}));
        let (worker, inbox) = Worker::new(Budget::new(1_000), Arc::new(Courtesy::new())).expect("a worker");
        let thread = thread::spawn(|| worker.run());
        let (tell, ends) = channel();
        let add = |id, framing: fn() -> Framing| {
            let tell = tell.clone();
            let (connection, sockets) = connection(framing, move |end| {
                tell.send((id, end)).expect("the test hears of it");
                assert!(id != 2, "a panic of the owner's");
            });
            inbox.send(Command::Add(id, Box::new(connection)));
            sockets
        };
        let good = add(1, || Framing::Seal(Sealer::new(&DirectionKeys::from_bytes(&[1; 32], &[2; 32]))));
        for id in [2, 3] {
            let [mut program, _service] = add(id, || Framing::Panics);
            program.write_all(b"x").expect("it is read");
            let (ended, end) = ends.recv().expect("it ends");
            assert!(ended == id && matches!(&end, End::Failed(words) if words == "asked to panic"), "{end:?}");
        }
        assert_eq!(inbox.connections(), 1);
        drop(good);
        assert!(matches!(ends.recv().expect("it ends"), (1, _)));
        inbox.send(Command::Stop);
        thread.join().expect("the thread has not panicked");
    }

    /// Only the superuser can make a network whose packets get lost.
    #[cfg(target_os = "linux")]
    #[test]
    fn who_does_not_acknowledge_what_was_sent_is_given_up_where_there_is_keep_alive() {
        let ip = |words: &str| std::process::Command::new("ip").args(words.split(' ')).status();
        let alone = nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).is_ok();
        if !alone || !ip("link set lo up").is_ok_and(|status| status.success()) {
            return eprintln!("SKIPPED: needs the right to make networks, and ip: NOTHING was given up");
        }
        let (mut worker, inbox) = Worker::new(Budget::new(1_000), Arc::new(Courtesy::new())).expect("a worker");
        worker.vigil = Duration::from_millis(20);
        let thread = thread::spawn(|| worker.run());
        let (tell, ends) = channel();
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
            let tell = tell.clone();
            let on_end = move |ended: crate::Ended| tell.send((id, ended.end)).expect("the test hears of it");
            let connection = Connection::new(pair, Arc::default(), true, Box::new(on_end));
            inbox.send(Command::Add(id, Box::new(connection)));
            program.write_all(b"it arrives").expect("it is read");
            others.push((program, listener.accept().expect("a client")));
        }
        assert!(ip("link set lo down").is_ok_and(|status| status.success()));
        let lost_at = Instant::now();
        for (program, _) in &mut others {
            program.write_all(b"it is lost").expect("it is read");
        }
        let (ended, end) = ends.recv_timeout(Duration::from_secs(60)).expect("one ends");
        assert!(lost_at.elapsed() > Duration::from_secs(1), "it was given time");
        let End::Broken { side: Side::Target, error } = end else { panic!("{end:?}") };
        assert_eq!((ended, error.raw_os_error()), (2, Some(libc::ETIMEDOUT)));
        assert_eq!(inbox.connections(), 1);
        inbox.send(Command::Stop);
        thread.join().expect("the thread has not panicked");
        assert!(matches!(ends.recv().expect("it ends"), (1, End::Cancelled)));
    }

    #[test]
    fn rounds_that_keep_failing_pause_ever_longer_up_to_a_second() {
        let pauses = [0, 1, 2, 3, 4, 11, 12, u32::MAX].map(|failures| pause_after(failures).as_millis());
        assert_eq!(pauses, [0, 0, 1, 2, 4, 512, 1_000, 1_000]);
    }

    #[test]
    fn a_panic_between_commands_takes_none_of_them_along() {
        panic::set_hook(Box::new(|_| {}));
        let (worker, inbox) = Worker::new(Budget::new(1_000), Arc::new(Courtesy::new())).expect("a worker");
        let (tell, ends) = channel();
        let mut sockets = Vec::new();
        for id in [1, 2] {
            let tell = tell.clone();
            let framing = || Framing::Seal(Sealer::new(&DirectionKeys::from_bytes(&[1; 32], &[2; 32])));
            let (connection, its) = connection(framing, move |end| tell.send((id, end)).expect("the test hears of it"));
            sockets.push(its);
            inbox.send(Command::Add(id, Box::new(connection)));
            inbox.send(Command::Panic);
        }
        inbox.send(Command::Stop);
        inbox.send(Command::Panic);
        drop(tell);
        // All of it waits by now, so that the thread finds it at once.
        let thread = thread::spawn(|| worker.run());
        for _ in 0..2 {
            let (_, end) = ends.recv().expect("each of them ends");
            assert!(matches!(&end, End::Failed(words) if words == "asked to panic"), "{end:?}");
        }
        assert_eq!(inbox.connections(), 0);
        thread.join().expect("the thread has not panicked");
    }
}
