//! A metrics load: lines of 80 bytes, each written separately, at full speed or at a steady rate. Each line carries its
//! number and the time just before it was written, so the receiver knows its age.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::turns::percentiles;

const LINE: usize = 80;

/// Writes `count` lines, `rate` per second; 0 means as fast as possible.
pub fn run(near: &str, far: &str, count: &str, rate: &str) -> Outcome {
    let (count, rate): (u64, f64) = (count.parse()?, rate.parse()?);
    let listener = TcpListener::bind(far)?;
    let mut near = TcpStream::connect(near)?;
    near.set_nodelay(true)?;
    let (far, _) = listener.accept()?;
    let clock = Instant::now();
    let receiver = thread::spawn(move || receive(far, count, clock));
    let mut line = Vec::with_capacity(LINE);
    for number in 0..count {
        if rate > 0.0 {
            wait_until(clock, number as f64 / rate);
        }
        line.clear();
        write!(
            line,
            "bench.host.metric {number} {} ",
            clock.elapsed().as_nanos()
        )?;
        line.resize(LINE - 1, b'.');
        line.push(b'\n');
        near.write_all(&line)?;
    }
    near.shutdown(Shutdown::Write)?;
    let mut ages = receiver.join().map_err(|_| "the receiver died")??;
    let seconds = clock.elapsed().as_secs_f64();
    Ok(format!(
        "{{\"linesPerSecond\":{},\"seconds\":{seconds},{}}}",
        count as f64 / seconds,
        percentiles(&mut ages)
    ))
}

fn wait_until(clock: Instant, seconds: f64) {
    let due = Duration::from_secs_f64(seconds);
    if let Some(left) = due.checked_sub(clock.elapsed()) {
        thread::sleep(left);
    }
}

fn receive(far: TcpStream, count: u64, clock: Instant) -> Result<Vec<f64>, String> {
    let mut ages = Vec::with_capacity(count as usize);
    let mut lines = BufReader::with_capacity(262_144, far);
    let mut line = String::new();
    for expected in 0..count {
        line.clear();
        lines
            .read_line(&mut line)
            .map_err(|error| error.to_string())?;
        let mut words = line.split(' ').skip(1);
        let number: Option<u64> = words.next().and_then(|word| word.parse().ok());
        let written: Option<u64> = words.next().and_then(|word| word.parse().ok());
        match (number, written) {
            (Some(number), Some(written)) if number == expected && line.len() == LINE => {
                ages.push((clock.elapsed().as_nanos() as f64 - written as f64) / 1e3);
            }
            _ => return Err(format!("line {expected} is wrong: {line:?}")),
        }
    }
    Ok(ages)
}
