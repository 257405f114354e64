//! Bulk throughput: a number of bytes through each of several connections, one way or both.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Barrier};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crate::Outcome;
use crate::pattern::Pattern;

/// When it began, and when its last byte was sent, or had arrived and been compared.
type Half = JoinHandle<io::Result<(Instant, Instant)>>;

/// Sends, receives and compares. The time runs from the first byte to the last one that was compared.
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
    let threads = pairs.len() * if direction == "both" { 4 } else { 2 };
    let start = Arc::new(Barrier::new(threads + 1));
    let mut halves = Vec::new();
    for (near, far) in pairs {
        match direction {
            "both" => {
                halves.push(sender(near.try_clone()?, forward, &pattern, &start));
                halves.push(receiver(near, reverse, &pattern, &start));
                halves.push(sender(far.try_clone()?, reverse, &pattern, &start));
                halves.push(receiver(far, forward, &pattern, &start));
            }
            "forward" => {
                halves.push(sender(near, forward, &pattern, &start));
                halves.push(receiver(far, forward, &pattern, &start));
            }
            _ => {
                halves.push(sender(far, reverse, &pattern, &start));
                halves.push(receiver(near, reverse, &pattern, &start));
            }
        }
    }
    start.wait();
    let mut begun = Instant::now();
    let mut ended = begun;
    for half in halves {
        let half = half.join().map_err(|_| "a thread died")??;
        begun = begun.min(half.0);
        ended = ended.max(half.1);
    }
    let seconds = (ended - begun).as_secs_f64();
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
        let begun = Instant::now();
        pattern.send(&mut stream, total)?;
        let ended = Instant::now();
        stream.shutdown(Shutdown::Write)?;
        Ok((begun, ended))
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
        let begun = Instant::now();
        let ended = pattern.receive(&mut stream, total)?;
        pattern.expect_end(&mut stream)?;
        Ok((begun, ended))
    })
}
