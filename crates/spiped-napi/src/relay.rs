//! Exposes the relay: JavaScript hands over two descriptors and a connection's keys, reads byte counts, is called back
//! at the end, and decides how each socket is closed.

use std::{
    os::fd::OwnedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use napi::{
    bindgen_prelude::{FnArgs, Function},
    threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode},
};
use napi_derive::napi;
use socket2::SockRef;
use spiped_relay::{Budget, Counters, End, Ended, Framing, Handle, Pair, Settings, Side};

use crate::{
    errors::{Result, core_error, node_error, step_error},
    keys::SessionKeys,
    panics,
    system::descriptors::{owned, system_error},
};

/// How a relayed connection ended, unless it was orderly.
#[napi(object)]
pub struct RelayEnd {
    /// `truncated`, `rejected`, `broken`, `cancelled` or `failed`.
    pub kind: String,
    /// `source` or `target`, for `broken`: the side that failed.
    pub side: Option<String>,
    /// The error's code, for `rejected` and `broken`: one of the core's, or the name of an `errno`.
    pub code: Option<String>,
    /// The error's message.
    pub message: Option<String>,
    /// Bytes received of the incomplete packet, for `truncated`.
    pub pending_bytes: Option<u32>,
}

/// The id that was passed to `handOver`, and the end, which is null if it was orderly and both sockets are closed.
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
    /// Starts the threads. `ended` is called once for each connection; it does not keep the process alive.
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

    /// Takes over two descriptors of connected stream sockets and the keys in `keys`. With `encrypts`, the source sends
    /// cleartext; otherwise, packets. The relay owns the descriptors from now on, even if this throws.
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
                // JavaScript has nothing to decide.
                None => theirs.close(source, target),
            }
            tell.call((id, end).into(), ThreadsafeFunctionCallMode::NonBlocking);
        });
        Ok(RelayedConnection { handle, sockets })
    }

    /// Bytes buffered for slow receivers, of all connections together.
    #[napi(getter)]
    pub fn buffered_bytes(&self) -> f64 {
        self.budget.buffered_bytes() as f64
    }
}

/// A connection in the relay.
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

    /// Stops moving bytes and wipes the keys.
    #[napi]
    pub fn stop(&self) {
        self.handle.cancel();
    }

    /// Closes the source, or resets it with `resets`, as soon as the relay no longer uses it.
    #[napi]
    pub fn end_source(&self, resets: bool) {
        self.sockets.lock().source.end(resets);
    }

    /// Closes the target, or resets it with `resets`, as soon as the relay no longer uses it.
    #[napi]
    pub fn end_target(&self, resets: bool) {
        self.sockets.lock().target.end(resets);
    }

    fn counters(&self) -> &Counters {
        self.handle.counters()
    }
}

/// The sockets of a connection. The relay returns them at the end, and JavaScript says how to close them, in either
/// order.
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

    /// Closes both sockets after an orderly end; the system delivers what is left.
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
    /// The relay is using it.
    #[default]
    Away,
    /// The relay is using it; then it is closed or reset.
    Awaited {
        resets: bool,
    },
    /// The relay has returned it.
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
    // Fails on a socket that was reset; has no effect on a UNIX socket.
    let _ = SockRef::from(&descriptor).set_linger(resets.then_some(Duration::ZERO));
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
