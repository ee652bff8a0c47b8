//! Ports that nobody else takes, also not while the server on them is down.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// Below Linux's range of ports for outgoing connections (32768 to 60999): a client that tries a server which is down
/// could otherwise be given the server's own port and connect to itself.
const RANGE: std::ops::Range<u16> = 15_000..32_000;
/// Between two looks at a port.
const POLL: Duration = Duration::from_millis(5);

/// A port of 127.0.0.1 that is held for this process until it is dropped.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _locks: Vec<File>,
}

/// How far a Redis Cluster's own port is from the one for clients.
const BUS: u16 = 10_000;

impl Port {
    /// Takes a free one.
    #[must_use]
    pub fn take() -> Self {
        Self::take_if(|number| Some(vec![lock(number)?]))
    }

    /// Takes a free one whose partner, 10,000 higher, is free too: what a server of a Redis Cluster wants.
    #[must_use]
    pub fn take_with_bus() -> Self {
        let both = |number: u16| Some(vec![lock(number)?, lock(number + BUS)?]);
        Self::take_if(|number| both(number).filter(|_| RANGE.contains(&(number + BUS))))
    }

    fn take_if(locks: impl Fn(u16) -> Option<Vec<File>>) -> Self {
        let span = usize::from(RANGE.end - RANGE.start);
        let start = std::process::id() as usize * 7_919 + unique();
        for step in 0..span {
            let number = RANGE.start + u16::try_from((start + step * 31) % span).unwrap();
            if let Some(locks) = locks(number) {
                return Self { number, _locks: locks };
            }
        }
        panic!("no port is free");
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.number))
    }
}

/// Holds a port if it is free.
fn lock(number: u16) -> Option<File> {
    let folder = crate::programs::shared_folder().join("ports");
    std::fs::create_dir_all(&folder).expect("a folder for port locks");
    let lock = File::create(folder.join(number.to_string())).expect("a port lock");
    let free = lock.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok();
    free.then_some(lock)
}

fn unique() -> usize {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(104_729, Ordering::Relaxed)
}

/// Waits until somebody answers on a port.
///
/// # Panics
/// Nobody does within `limit`.
pub fn wait_for_port(port: u16, limit: Duration) {
    let began = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        assert!(began.elapsed() < limit, "nobody listens on port {port} after {limit:?}");
        std::thread::sleep(POLL);
    }
}
