//! Tiny writes: one system call and one segment for each byte, both ways at once.

use std::io::{self, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crate::Outcome;
use crate::pattern::Pattern;

/// Writes one byte at a time.
struct OneByOne(TcpStream);

impl Write for OneByOne {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes.get(..1).unwrap_or_default())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sends `count` bytes each way through each of `connections`, and compares what arrives.
pub fn run(near: &str, far: &str, count: &str, connections: &str) -> Outcome {
    let (count, connections): (u64, u64) = (count.parse()?, connections.parse()?);
    let pattern = Arc::new(Pattern::new());
    let listener = TcpListener::bind(far)?;
    let mut threads = Vec::new();
    for _ in 0..connections {
        let near = TcpStream::connect(near)?;
        let (far, _) = listener.accept()?;
        for stream in [near, far] {
            stream.set_nodelay(true)?;
            threads.push(sender(stream.try_clone()?, count, &pattern));
            threads.push(receiver(stream, count, &pattern));
        }
    }
    for thread in threads {
        thread.join().map_err(|_| "a thread died")??;
    }
    Ok(format!("{{\"writes\":{}}}", 2 * count * connections))
}

fn sender(stream: TcpStream, count: u64, pattern: &Arc<Pattern>) -> JoinHandle<io::Result<()>> {
    let pattern = Arc::clone(pattern);
    thread::spawn(move || {
        let mut stream = OneByOne(stream);
        pattern.send(&mut stream, count)?;
        stream.0.shutdown(Shutdown::Write)
    })
}

fn receiver(
    mut stream: TcpStream,
    count: u64,
    pattern: &Arc<Pattern>,
) -> JoinHandle<io::Result<()>> {
    let pattern = Arc::clone(pattern);
    thread::spawn(move || {
        pattern.receive(&mut stream, count)?;
        pattern.expect_end(&mut stream)
    })
}
