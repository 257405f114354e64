//! How long a command takes to start.

use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;

const BETWEEN_TRIES: Duration = Duration::from_micros(250);
const PATIENCE: Duration = Duration::from_secs(20);

/// Starts a command and measures until it accepts a connection at `address` or, with "end", until it has exited.
pub fn run(address: &str, command: &[&str]) -> Outcome {
    let [program, words @ ..] = command else {
        return Err("no command".into());
    };
    let listening: Option<SocketAddr> = match address {
        "end" => None,
        _ => Some(address.parse()?),
    };
    let mut command = Command::new(program);
    command
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let begun = Instant::now();
    let mut child = command.spawn()?;
    let outcome = match listening {
        Some(address) => wait_for(address, &mut child, begun),
        None => child.wait().map_err(Into::into).map(|_| begun.elapsed()),
    };
    // It may have exited already.
    let _ = child.kill();
    child.wait()?;
    Ok(format!(
        "{{\"milliseconds\":{}}}",
        outcome?.as_secs_f64() * 1e3
    ))
}

fn wait_for(
    address: SocketAddr,
    child: &mut Child,
    begun: Instant,
) -> Result<Duration, Box<dyn std::error::Error + Send + Sync>> {
    while TcpStream::connect(address).is_err() {
        if let Some(status) = child.try_wait()? {
            return Err(format!("ended instead of listening: {status}").into());
        }
        if begun.elapsed() > PATIENCE {
            return Err("does not listen".into());
        }
        thread::sleep(BETWEEN_TRIES);
    }
    Ok(begun.elapsed())
}
