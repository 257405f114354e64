//! The relay as JavaScript sees it: two descriptors are handed over with their framings, bytes are counted, one
//! callback tells of the end, and each socket is ended as JavaScript says.

use std::{
    os::fd::{FromRawFd, OwnedFd, RawFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use napi::{
    bindgen_prelude::{FnArgs, Function},
    threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode},
};
use napi_derive::napi;
use nix::errno::Errno;
use socket2::SockRef;
use spiped_relay::{Budget, Counters, End, Ended, Framing, Handle, Pair, Settings, Side};

use crate::{
    errors::{Result, core_error, node_error, step_error},
    keys::SessionKeys,
    panics,
    system::descriptors::system_error,
};

/// How a relayed connection ended, where not in an orderly way.
#[napi(object)]
pub struct RelayEnd {
    /// `truncated`, `rejected`, `broken`, `cancelled` or `failed`.
    pub kind: String,
    /// `source` or `target`, where one of them is `broken`.
    pub side: Option<String>,
    /// The code of the error: the name of an `errno`, or one of the core's; none of a mistake of this program.
    pub code: Option<String>,
    /// What is to be said of it.
    pub message: Option<String>,
    /// Bytes of a packet that was cut, where it is `truncated`.
    pub pending_bytes: Option<u32>,
}

/// The number that `handOver` was given, and the end; null for an orderly one, after which both sockets are closed.
type Told = FnArgs<(f64, Option<RelayEnd>)>;
type Tell = ThreadsafeFunction<Told, (), Told, napi::Status, false, true>;

/// Threads that move packets between sockets.
#[napi]
pub struct Relay {
    relay: spiped_relay::Relay,
    budget: Budget,
    tell: Arc<Tell>,
}

#[napi]
impl Relay {
    /// Starts the threads. `ended` is told once of each connection's end; it keeps no process alive.
    #[napi(constructor)]
    pub fn new(
        threads: u32,
        coalescing: bool,
        budget_bytes: u32,
        #[napi(ts_arg_type = "(id: number, end: RelayEnd | null) => void")] ended: Function<'_, Told, ()>,
    ) -> Result<Self> {
        panics::silence();
        let budget = Budget::new(budget_bytes as usize);
        let settings = Settings { threads: threads as usize, coalescing, budget: budget.clone() };
        let relay = spiped_relay::Relay::start(&settings).map_err(|error| system_error("start a thread", error))?;
        let tell = ended.build_threadsafe_function().weak::<true>().build().map_err(node_error)?;
        Ok(Self { relay, budget, tell: Arc::new(tell) })
    }

    /// Takes over two descriptors of connected stream sockets, and what `keys` holds. `encrypts`: cleartext comes
    /// in at the source. The descriptors are the relay's from now on, whatever happens.
    #[napi]
    pub fn hand_over(
        &self,
        id: f64,
        encrypts: bool,
        source: i32,
        target: i32,
        keys: &mut SessionKeys,
    ) -> Result<RelayedConnection> {
        let (source, target) = (owned(source)?, owned(target)?);
        let (sealer, opener) = keys.take().ok_or_else(step_error)?;
        let (seal, open) = (Framing::Seal(sealer), Framing::Open(Box::new(opener)));
        let (forward, reverse) = if encrypts { (seal, open) } else { (open, seal) };
        let sockets = Arc::<Sockets>::default();
        let (theirs, tell) = (Arc::clone(&sockets), Arc::clone(&self.tell));
        let handle = self.relay.add(Pair { source, target, forward, reverse }, move |Ended { end, source, target }| {
            let end = relay_end(end);
            match end {
                Some(_) => theirs.come_back(source, target),
                // There is nothing to decide.
                None => theirs.close(source, target),
            }
            tell.call((id, end).into(), ThreadsafeFunctionCallMode::NonBlocking);
        });
        Ok(RelayedConnection { handle, sockets })
    }

    /// Bytes that wait in memory for full receivers, of all connections together.
    #[napi(getter)]
    pub fn held_bytes(&self) -> f64 {
        self.budget.held_bytes() as f64
    }
}

/// A connection that was handed over.
#[napi]
pub struct RelayedConnection {
    handle: Handle,
    sockets: Arc<Sockets>,
}

#[napi]
impl RelayedConnection {
    /// Bytes of cleartext from the source to the target so far.
    #[napi(getter)]
    pub fn bytes_forward(&self) -> f64 {
        self.counters().forward() as f64
    }

    /// Bytes of cleartext from the target to the source so far.
    #[napi(getter)]
    pub fn bytes_reverse(&self) -> f64 {
        self.counters().reverse() as f64
    }

    /// Moves no more bytes, and wipes the keys.
    #[napi]
    pub fn stop(&self) {
        self.handle.cancel();
    }

    /// Closes or resets the source, as soon as the relay no longer uses it.
    #[napi]
    pub fn end_source(&self, resets: bool) {
        self.sockets.lock().source.end(resets);
    }

    /// Closes or resets the target, as soon as the relay no longer uses it.
    #[napi]
    pub fn end_target(&self, resets: bool) {
        self.sockets.lock().target.end(resets);
    }

    fn counters(&self) -> &Counters {
        self.handle.counters()
    }
}

/// The sockets of a connection, which come back from the relay at its end and are ended as JavaScript says, whichever
/// comes first.
#[derive(Default)]
struct Sockets(Mutex<Pending>);

#[derive(Default)]
struct Pending {
    source: Socket,
    target: Socket,
}

impl Sockets {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Both were ended in order, and what they still have to say is the system's to deliver.
    fn close(&self, source: OwnedFd, target: OwnedFd) {
        end(source, false);
        end(target, false);
        let mut pending = self.lock();
        pending.source = Socket::Ended;
        pending.target = Socket::Ended;
    }

    fn come_back(&self, source: OwnedFd, target: OwnedFd) {
        let mut pending = self.lock();
        pending.source.come_back(source);
        pending.target.come_back(target);
    }
}

#[derive(Default)]
enum Socket {
    /// The relay uses it.
    #[default]
    Away,
    /// The relay uses it; it will be reset or closed.
    Awaited {
        resets: bool,
    },
    /// Nobody uses it.
    Back(OwnedFd),
    Ended,
}

impl Socket {
    fn come_back(&mut self, descriptor: OwnedFd) {
        match *self {
            Self::Awaited { resets } => {
                end(descriptor, resets);
                *self = Self::Ended;
            }
            Self::Away | Self::Back(_) | Self::Ended => *self = Self::Back(descriptor),
        }
    }

    fn end(&mut self, resets: bool) {
        *self = match std::mem::replace(self, Self::Ended) {
            Self::Away | Self::Awaited { .. } => Self::Awaited { resets },
            Self::Back(descriptor) => {
                end(descriptor, resets);
                Self::Ended
            }
            Self::Ended => Self::Ended,
        };
    }
}

fn end(descriptor: OwnedFd, resets: bool) {
    // A UNIX socket knows no reset, and a socket that was reset takes no option.
    let _ = SockRef::from(&descriptor).set_linger(resets.then_some(Duration::ZERO));
}

pub(crate) fn owned(descriptor: RawFd) -> Result<OwnedFd> {
    if descriptor < 0 {
        return Err(system_error("take a descriptor", Errno::EBADF.into()));
    }
    // SAFETY: not negative; the caller made it with `duplicate` for this call, and nobody else knows it.
    #[allow(unsafe_code)]
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn relay_end(end: End) -> Option<RelayEnd> {
    let bare =
        |kind: &str| RelayEnd { kind: kind.to_owned(), side: None, code: None, message: None, pending_bytes: None };
    Some(match end {
        End::Orderly => return None,
        End::Truncated { pending_bytes } => {
            RelayEnd { pending_bytes: u32::try_from(pending_bytes).ok(), ..bare("truncated") }
        }
        End::Rejected(error) => {
            let error = core_error(error);
            RelayEnd {
                code: Some(error.status.as_ref().to_owned()),
                message: Some(error.reason.clone()),
                ..bare("rejected")
            }
        }
        End::Broken { side, error } => {
            let side = match side {
                Side::Source => "source",
                Side::Target => "target",
            };
            let error = system_error("use a socket", error);
            RelayEnd {
                side: Some(side.to_owned()),
                code: Some(error.status.as_ref().to_owned()),
                message: Some(error.reason.clone()),
                ..bare("broken")
            }
        }
        End::Cancelled => bare("cancelled"),
        End::Failed(words) => RelayEnd { message: Some(words), ..bare("failed") },
    })
}
