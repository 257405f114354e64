//! Requests next to full-speed transfers: how long a quiet connection waits while busy ones share its tunnel.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::pattern::Pattern;
use crate::turns::{echo_one, percentiles, turn};

const REQUEST: usize = 64;
/// How long everything runs before a request counts.
const WARM_UP: Duration = Duration::from_millis(500);

/// Sends 64-byte requests one after another for `seconds`, next to `transfers` connections that send at full speed.
pub fn run(near: &str, far: &str, seconds: &str, transfers: &str) -> Outcome {
    let (seconds, transfers): (f64, usize) = (seconds.parse()?, transfers.parse()?);
    let pattern = Arc::new(Pattern::new());
    let stop = Arc::new(AtomicBool::new(false));
    let listener = TcpListener::bind(far)?;
    let mut senders = Vec::new();
    let mut receivers = Vec::new();
    for _ in 0..transfers {
        let (near, far) = connect(near, &listener)?;
        senders.push(sender(near, &pattern, &stop));
        receivers.push(receiver(far, &pattern));
    }
    let (mut stream, service) = connect(near, &listener)?;
    let service = thread::spawn(move || echo_one(service));
    stream.set_nodelay(true)?;

    let request: Vec<u8> = (0..REQUEST).map(|i| (i * 31) as u8).collect();
    let mut answer = vec![0; REQUEST];
    let mut times = Vec::new();
    let started = Instant::now();
    let counted = Duration::from_secs_f64(seconds);
    while started.elapsed() < WARM_UP + counted {
        let begun = Instant::now();
        turn(&mut stream, &request, &mut answer)?;
        if begun - started >= WARM_UP {
            times.push(begun.elapsed().as_secs_f64() * 1e6);
        }
    }
    stop.store(true, Ordering::Relaxed);
    let sent = join(senders)?;
    let lasted = started.elapsed().as_secs_f64();
    let received = join(receivers)?;
    if sent != received {
        return Err(format!("{received:?} bytes came of {sent:?}").into());
    }
    stream.shutdown(Shutdown::Write)?;
    service.join().map_err(|_| "the service died")??;
    let megabytes = received.iter().sum::<u64>() as f64 / 1e6;
    Ok(format!(
        "{{\"requests\":{},\"megabytesPerSecond\":{},{}}}",
        times.len(),
        megabytes / lasted,
        percentiles(&mut times)
    ))
}

/// Both sides of one connection. A first byte makes sure that the two belong together.
fn connect(near: &str, listener: &TcpListener) -> io::Result<(TcpStream, TcpStream)> {
    let mut near = TcpStream::connect(near)?;
    near.write_all(&[0x5a])?;
    let (mut far, _) = listener.accept()?;
    far.read_exact(&mut [0])?;
    Ok((near, far))
}

/// Sends until told to stop; returns the number of bytes.
fn sender(
    mut stream: TcpStream,
    pattern: &Arc<Pattern>,
    stop: &Arc<AtomicBool>,
) -> JoinHandle<io::Result<u64>> {
    let (pattern, stop) = (Arc::clone(pattern), Arc::clone(stop));
    thread::spawn(move || {
        let mut sent = 0;
        while !stop.load(Ordering::Relaxed) {
            sent += pattern.send_piece(&mut stream, sent)?;
        }
        stream.shutdown(Shutdown::Write)?;
        Ok(sent)
    })
}

fn receiver(mut stream: TcpStream, pattern: &Arc<Pattern>) -> JoinHandle<io::Result<u64>> {
    let pattern = Arc::clone(pattern);
    thread::spawn(move || pattern.receive_until_end(&mut stream))
}

fn join(threads: Vec<JoinHandle<io::Result<u64>>>) -> io::Result<Vec<u64>> {
    threads
        .into_iter()
        .map(|thread| {
            thread
                .join()
                .map_err(|_| io::Error::other("a thread died"))?
        })
        .collect()
}
