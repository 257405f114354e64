//! Load generator for the benchmark and for trials: both the application that connects to a tunnel's near end and the
//! service behind its far end. Prints its measurements as one JSON object.
//!
//!     spiped-bench-load bulk       NEAR FAR BYTES CONNECTIONS forward|reverse|both
//!     spiped-bench-load handshakes NEAR FAR COUNT PARALLEL
//!     spiped-bench-load pingpong   NEAR FAR SIZE COUNT
//!     spiped-bench-load lines      NEAR FAR COUNT LINES_A_SECOND      (0: as fast as possible)
//!     spiped-bench-load beside     NEAR FAR SECONDS TRANSFERS         (requests next to transfers)
//!     spiped-bench-load idle       NEAR FAR COUNT...                  (each after a line on standard input)
//!     spiped-bench-load stalled    NEAR FAR COUNT...                  (each after a line on standard input)
//!     spiped-bench-load churn      NEAR FAR COUNT PARALLEL MOST_BYTES (each echoed; failures are counted)
//!     spiped-bench-load tiny       NEAR FAR COUNT CONNECTIONS         (a write for each byte, both ways)
//!     spiped-bench-load start      NEAR|end COMMAND...                (starts it; until it listens, or has ended)
//!
//! NEAR is where to connect, FAR is where to listen, both `127.0.0.1:port`. Every byte that arrives is compared with
//! what was sent; a wrong one ends the program with status 1.

mod beside;
mod bulk;
mod churn;
mod idle;
mod lines;
mod pattern;
mod stalled;
mod start;
mod tiny;
mod turns;

use std::env;
use std::error::Error;

/// Any error ends the measurement.
pub type Outcome = Result<String, Box<dyn Error + Send + Sync>>;

fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["bulk", near, far, bytes, connections, direction] => {
            bulk::run(near, far, bytes, connections, direction)
        }
        ["handshakes", near, far, count, parallel] => turns::handshakes(near, far, count, parallel),
        ["pingpong", near, far, size, count] => turns::pingpong(near, far, size, count),
        ["lines", near, far, count, rate] => lines::run(near, far, count, rate),
        ["beside", near, far, seconds, transfers] => beside::run(near, far, seconds, transfers),
        ["idle", near, far, ref counts @ ..] => idle::run(near, far, counts),
        ["stalled", near, far, ref counts @ ..] => stalled::run(near, far, counts),
        ["churn", near, far, count, parallel, most] => churn::run(near, far, count, parallel, most),
        ["tiny", near, far, count, connections] => tiny::run(near, far, count, connections),
        ["start", address, ref command @ ..] => start::run(address, command),
        _ => Err("bad words; see the head of main.rs".into()),
    };
    match outcome {
        Ok(json) => println!("{json}"),
        Err(error) => {
            eprintln!("spiped-bench-load: {error}");
            std::process::exit(1);
        }
    }
}
