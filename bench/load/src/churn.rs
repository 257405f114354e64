//! Churn: connections that open, have their own data echoed and close, each counted by its outcome.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use crate::Outcome;
use crate::pattern::Pattern;
use crate::turns::echo_one;

/// Stack size of the threads, of which there may be thousands.
const STACK: usize = 128 * 1_024;

/// Connects, sends a number and up to `most` bytes, ends its direction, reads the echo to its end and compares, `count`
/// times, `parallel` at once. A failed connection is counted by what its client saw; the others continue.
pub fn run(near: &str, far: &str, count: &str, parallel: &str, most: &str) -> Outcome {
    let (count, parallel, most): (u64, usize, u64) =
        (count.parse()?, parallel.parse()?, most.parse()?);
    let near: SocketAddr = near.parse()?;
    serve(far)?;
    let pattern = Arc::new(Pattern::new());
    let next = Arc::new(AtomicU64::new(0));
    let workers = (0..parallel)
        .map(|_| {
            let (pattern, next) = (Arc::clone(&pattern), Arc::clone(&next));
            small_thread(move || work(near, &pattern, &next, count, most))
        })
        .collect::<io::Result<Vec<_>>>()?;
    let mut sum = Sum::default();
    for worker in workers {
        sum.add(worker.join().map_err(|_| "a thread died")?);
    }
    let failed: Vec<String> = sum
        .failed
        .iter()
        .map(|(what, times)| format!("{what:?}:{times}"))
        .collect();
    Ok(format!(
        "{{\"served\":{},\"bytes\":{},\"slowestMs\":{:.0},\"failed\":{{{}}}}}",
        sum.served,
        sum.bytes,
        sum.slowest * 1e3,
        failed.join(",")
    ))
}

#[derive(Default)]
struct Sum {
    served: u64,
    bytes: u64,
    slowest: f64,
    failed: BTreeMap<String, u64>,
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.served += other.served;
        self.bytes += other.bytes;
        self.slowest = self.slowest.max(other.slowest);
        for (what, times) in other.failed {
            *self.failed.entry(what).or_default() += times;
        }
    }
}

fn work(near: SocketAddr, pattern: &Pattern, next: &AtomicU64, count: u64, most: u64) -> Sum {
    let mut sum = Sum::default();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= count {
            return sum;
        }
        let begun = Instant::now();
        match visit(near, pattern, number, most) {
            Ok(bytes) => {
                sum.served += 1;
                sum.bytes += bytes;
                sum.slowest = sum.slowest.max(begun.elapsed().as_secs_f64());
            }
            Err(error) => *sum.failed.entry(error.to_string()).or_default() += 1,
        }
    }
}

/// One connection; returns the bytes sent each way.
fn visit(near: SocketAddr, pattern: &Pattern, number: u64, most: u64) -> io::Result<u64> {
    let mut stream = TcpStream::connect(near)?;
    let mut sent = number.to_be_bytes().to_vec();
    // Consecutive numbers get very different lengths.
    let length = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16) % (most + 1);
    pattern.send(&mut sent, length)?;
    stream.write_all(&sent)?;
    stream.shutdown(Shutdown::Write)?;
    let mut came = Vec::with_capacity(sent.len());
    stream.read_to_end(&mut came)?;
    if came == sent {
        Ok(sent.len() as u64)
    } else if sent.starts_with(&came) {
        Err(io::Error::other("an orderly end came too early"))
    } else {
        Err(io::Error::other("wrong bytes came"))
    }
}

/// A service with a thread for each connection, so that none waits for another.
fn serve(far: &str) -> io::Result<()> {
    let listener = TcpListener::bind(far)?;
    small_thread(move || {
        // Its client reports a broken connection.
        for stream in listener.incoming().flatten() {
            let _ = small_thread(move || drop(echo_one(stream)));
        }
    })
    .map(drop)
}

fn small_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<thread::JoinHandle<T>> {
    thread::Builder::new().stack_size(STACK).spawn(work)
}
