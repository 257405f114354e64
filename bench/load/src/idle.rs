//! Idle connections: opened, used once, and kept open.

use std::io::{Read, Write, stdin};
use std::net::{TcpListener, TcpStream};

use crate::Outcome;

/// Connections opened at once; fewer than the shortest listen backlog of the measured programs, 10.
const AT_ONCE: usize = 8;

/// Waits for a line on standard input, opens connections up to the first count, sends a byte through each and reports it
/// on standard output; then the same for the next count. Keeps all open until a last line or the end of input.
pub fn run(near: &str, far: &str, counts: &[&str]) -> Outcome {
    let listener = TcpListener::bind(far)?;
    let mut held = Vec::new();
    for count in counts {
        let count: usize = count.parse()?;
        stdin().read_line(&mut String::new())?;
        while held.len() / 2 < count {
            open(
                near,
                &listener,
                AT_ONCE.min(count - held.len() / 2),
                &mut held,
            )?;
        }
        println!("{{\"open\":{}}}", held.len() / 2);
    }
    stdin().read_line(&mut String::new())?;
    Ok("{}".to_owned())
}

fn open(
    near: &str,
    listener: &TcpListener,
    count: usize,
    held: &mut Vec<TcpStream>,
) -> std::io::Result<()> {
    for _ in 0..count {
        let mut stream = TcpStream::connect(near)?;
        stream.write_all(&[0x5a])?;
        held.push(stream);
    }
    for _ in 0..count {
        let (mut stream, _) = listener.accept()?;
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        if byte != [0x5a] {
            return Err(std::io::Error::other("a wrong byte came"));
        }
        held.push(stream);
    }
    Ok(())
}
