//! Idle connections: opened, used once, and held until standard input ends.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use crate::Outcome;

/// Opens `count` connections, sends a byte through each, and says so on standard output.
pub fn run(near: &str, far: &str, count: &str) -> Outcome {
    let count: usize = count.parse()?;
    let listener = TcpListener::bind(far)?;
    let mut held = Vec::with_capacity(count);
    for _ in 0..count {
        let mut near = TcpStream::connect(near)?;
        near.write_all(&[0x5a])?;
        let (mut far, _) = listener.accept()?;
        far.read_exact(&mut [0])?;
        held.push((near, far));
    }
    println!("{{\"open\":{}}}", held.len());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok("{}".to_owned())
}
