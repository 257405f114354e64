//! Bulk throughput: a number of bytes through each of some connections, one way or both.

use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Barrier};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crate::Outcome;
use crate::pattern::Pattern;

type Half = JoinHandle<Result<(), std::io::Error>>;

/// Sends, receives and compares.
pub fn run(near: &str, far: &str, bytes: &str, connections: &str, direction: &str) -> Outcome {
    let total: u64 = bytes.parse()?;
    let connections: usize = connections.parse()?;
    let (forward, reverse) = match direction {
        "forward" => (total, 0),
        "reverse" => (0, total),
        "both" => (total, total),
        _ => return Err("direction is forward, reverse or both".into()),
    };
    let pattern = Arc::new(Pattern::new());
    let listener = TcpListener::bind(far)?;
    let mut pairs = Vec::new();
    for _ in 0..connections {
        let near = TcpStream::connect(near)?;
        let (far, _) = listener.accept()?;
        pairs.push((near, far));
    }
    let start = Arc::new(Barrier::new(connections * 4 + 1));
    let mut halves = Vec::new();
    for (near, far) in pairs {
        halves.push(sender(near.try_clone()?, forward, &pattern, &start));
        halves.push(receiver(near, reverse, &pattern, &start));
        halves.push(sender(far.try_clone()?, reverse, &pattern, &start));
        halves.push(receiver(far, forward, &pattern, &start));
    }
    start.wait();
    let started = Instant::now();
    for half in halves {
        half.join().map_err(|_| "a thread died")??;
    }
    let seconds = started.elapsed().as_secs_f64();
    let moved = (forward + reverse) * connections as u64;
    Ok(format!(
        "{{\"bytes\":{moved},\"seconds\":{seconds},\"megabytesPerSecond\":{}}}",
        moved as f64 / 1e6 / seconds
    ))
}

fn sender(mut stream: TcpStream, total: u64, pattern: &Arc<Pattern>, start: &Arc<Barrier>) -> Half {
    let (pattern, start) = (Arc::clone(pattern), Arc::clone(start));
    thread::spawn(move || {
        start.wait();
        pattern.send(&mut stream, total)?;
        stream.shutdown(Shutdown::Write)
    })
}

fn receiver(
    mut stream: TcpStream,
    total: u64,
    pattern: &Arc<Pattern>,
    start: &Arc<Barrier>,
) -> Half {
    let (pattern, start) = (Arc::clone(pattern), Arc::clone(start));
    thread::spawn(move || {
        start.wait();
        pattern.receive(&mut stream, total)
    })
}
