//! Stalled readers: connections whose service reads nothing, each filled until its sender is blocked.

use std::io::{self, ErrorKind, Read, Write, stdin};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::Outcome;
use crate::pattern::Pattern;

/// Connections opened at once; fewer than the shortest listen backlog of the measured programs, 10.
const AT_ONCE: usize = 8;
/// A connection counts as full after accepting nothing for this long.
const QUIET: Duration = Duration::from_millis(400);
/// Time limit for filling: what still trickles in later is little.
const PATIENCE: Duration = Duration::from_secs(15);
/// A connection that accepts more than this counts as unbounded.
const ENDLESS: u64 = 64_000_000;
/// A network's segment size. With loopback's 64 KiB the kernel would buffer 7 MB per connection, and slow down all TCP
/// under memory pressure.
const SEGMENT: u32 = 1_448;

struct Connection {
    near: TcpStream,
    far: TcpStream,
    sent: u64,
}

/// Waits for a line on standard input, opens connections up to the first count, fills them and reports it on standard
/// output; then the same for the next count. After one more line it reads and compares everything, closes the connections
/// and reports that. Exits after a last line or at the end of input.
pub fn run(near: &str, far: &str, counts: &[&str]) -> Outcome {
    let pattern = Pattern::new();
    let near = near.parse()?;
    let listener = listen(far.parse()?)?;
    let mut connections = Vec::new();
    for count in counts {
        let count: usize = count.parse()?;
        wait_for_line()?;
        let first = connections.len();
        while connections.len() < count {
            let some = AT_ONCE.min(count - connections.len());
            open(near, &listener, some, &mut connections)?;
        }
        fill(&pattern, &mut connections[first..])?;
        let sent: u64 = connections.iter().map(|connection| connection.sent).sum();
        println!("{{\"open\":{count},\"bytes\":{sent}}}");
    }
    wait_for_line()?;
    drain_all(&pattern, connections)?;
    println!("{{\"open\":0}}");
    wait_for_line()?;
    Ok("{}".to_owned())
}

fn socket_of_network_segments() -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_tcp_mss(SEGMENT)?;
    Ok(socket)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket_of_network_segments()?;
    socket.bind(&address.into())?;
    socket.listen(128)?;
    Ok(socket.into())
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = socket_of_network_segments()?;
    socket.connect(&address.into())?;
    Ok(socket.into())
}

fn wait_for_line() -> io::Result<()> {
    stdin().read_line(&mut String::new()).map(drop)
}

/// Opens `count` connections. Each sends its number, so that its two sides can be matched.
fn open(
    near: SocketAddr,
    listener: &TcpListener,
    count: usize,
    connections: &mut Vec<Connection>,
) -> io::Result<()> {
    let mut nears = Vec::new();
    for number in 0..count {
        let mut stream = connect(near)?;
        stream.write_all(&[number as u8])?;
        nears.push(Some(stream));
    }
    for _ in 0..count {
        let (mut far, _) = listener.accept()?;
        let mut number = [0];
        far.read_exact(&mut number)?;
        let near = nears.get_mut(usize::from(number[0])).and_then(Option::take);
        let near = near.ok_or_else(|| io::Error::other("a wrong byte came"))?;
        near.set_nonblocking(true)?;
        connections.push(Connection { near, far, sent: 0 });
    }
    Ok(())
}

fn fill(pattern: &Pattern, connections: &mut [Connection]) -> io::Result<()> {
    let begun = Instant::now();
    let mut progress = begun;
    while progress.elapsed() < QUIET && begun.elapsed() < PATIENCE {
        for Connection { near, sent, .. } in connections.iter_mut() {
            match pattern.write_some(near, *sent) {
                Ok(length) => {
                    *sent += length as u64;
                    progress = Instant::now();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            if *sent > ENDLESS {
                return Err(io::Error::other(
                    "takes data without end, though nobody reads",
                ));
            }
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Reads all connections at once, so that their waits overlap: a sender that has seen a closed window for long retries
/// only after seconds.
fn drain_all(pattern: &Pattern, connections: Vec<Connection>) -> io::Result<()> {
    thread::scope(|scope| {
        let readers: Vec<_> = connections
            .into_iter()
            .map(|connection| scope.spawn(|| drain(pattern, connection)))
            .collect();
        readers.into_iter().try_for_each(|reader| {
            reader
                .join()
                .map_err(|_| io::Error::other("a thread died"))?
        })
    })
}

fn drain(pattern: &Pattern, connection: Connection) -> io::Result<()> {
    let Connection {
        near,
        mut far,
        sent,
    } = connection;
    near.shutdown(Shutdown::Write)?;
    match pattern.receive_until_end(&mut far)? {
        received if received == sent => Ok(()),
        received => Err(io::Error::other(format!("{received} of {sent} bytes came"))),
    }
}
