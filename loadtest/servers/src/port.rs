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
    _lock: File,
}

impl Port {
    /// Takes a free one.
    #[must_use]
    pub fn take() -> Self {
        let folder = crate::programs::shared_folder().join("ports");
        std::fs::create_dir_all(&folder).expect("a folder for port locks");
        let span = usize::from(RANGE.end - RANGE.start);
        let start = std::process::id() as usize * 7_919 + unique();
        for step in 0..span {
            let number = RANGE.start + u16::try_from((start + step * 31) % span).unwrap();
            let lock = File::create(folder.join(number.to_string())).expect("a port lock");
            if lock.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Self { number, _lock: lock };
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
