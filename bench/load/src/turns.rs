//! Round trips: a whole connection for each byte, or one connection for all.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use crate::Outcome;

/// Connects, has one byte echoed and closes, `count` times, `parallel` at once.
pub fn handshakes(near: &str, far: &str, count: &str, parallel: &str) -> Outcome {
    let count: usize = count.parse()?;
    let parallel: usize = parallel.parse()?;
    let near: SocketAddr = near.parse()?;
    echo(far, 2 * parallel)?;
    let done = Arc::new(AtomicUsize::new(0));
    let started = Instant::now();
    let workers: Vec<_> = (0..parallel)
        .map(|_| {
            let done = Arc::clone(&done);
            thread::spawn(move || -> std::io::Result<Vec<f64>> {
                let mut times = Vec::new();
                while done.fetch_add(1, Ordering::Relaxed) < count {
                    let begun = Instant::now();
                    let mut stream = TcpStream::connect(near)?;
                    turn(&mut stream, &[0x5a], &mut [0])?;
                    times.push(begun.elapsed().as_secs_f64() * 1e6);
                }
                Ok(times)
            })
        })
        .collect();
    let mut times = Vec::new();
    for worker in workers {
        times.extend(worker.join().map_err(|_| "a thread died")??);
    }
    let seconds = started.elapsed().as_secs_f64();
    let rate = times.len() as f64 / seconds;
    Ok(format!(
        "{{\"connectionsPerSecond\":{rate},\"seconds\":{seconds},{}}}",
        percentiles(&mut times)
    ))
}

/// Sends `size` bytes and waits for their echo, `count` times over one connection.
pub fn pingpong(near: &str, far: &str, size: &str, count: &str) -> Outcome {
    let (size, count): (usize, usize) = (size.parse()?, count.parse()?);
    echo(far, 1)?;
    let mut stream = TcpStream::connect(near)?;
    stream.set_nodelay(true)?;
    let ping: Vec<u8> = (0..size).map(|i| (i * 31) as u8).collect();
    let mut pong = vec![0; size];
    for _ in 0..count / 10 {
        turn(&mut stream, &ping, &mut pong)?;
    }
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let begun = Instant::now();
        turn(&mut stream, &ping, &mut pong)?;
        times.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    Ok(format!("{{{}}}", percentiles(&mut times)))
}

/// Sends a message and waits for its echo.
pub fn turn(stream: &mut TcpStream, ping: &[u8], pong: &mut [u8]) -> std::io::Result<()> {
    stream.write_all(ping)?;
    stream.read_exact(pong)?;
    if ping == pong {
        Ok(())
    } else {
        Err(std::io::Error::other("the echo is wrong"))
    }
}

/// A service with `threads` threads, each serving one connection after another.
fn echo(far: &str, threads: usize) -> std::io::Result<()> {
    let listener = TcpListener::bind(far)?;
    for _ in 0..threads {
        let listener = listener.try_clone()?;
        thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            // Its client reports a broken connection.
            for stream in listener.incoming().flatten() {
                let _ = serve(stream, &mut buffer);
            }
        });
    }
    Ok(())
}

/// Echoes everything on one connection until it ends.
pub fn echo_one(stream: TcpStream) -> std::io::Result<()> {
    serve(stream, &mut vec![0; 65_536])
}

fn serve(mut stream: TcpStream, buffer: &mut [u8]) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let length = stream.read(buffer)?;
        if length == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..length])?;
    }
}

/// Percentiles in microseconds as JSON members.
pub fn percentiles(times: &mut [f64]) -> String {
    times.sort_by(f64::total_cmp);
    let at = |share: f64| {
        times
            .get(((times.len() as f64 * share) as usize).min(times.len().max(1) - 1))
            .copied()
            .unwrap_or(0.0)
    };
    format!(
        "\"medianMicros\":{:.1},\"p90Micros\":{:.1},\"p99Micros\":{:.1}",
        at(0.5),
        at(0.9),
        at(0.99)
    )
}
