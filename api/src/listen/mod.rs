//! The socket that clients come to, set up for many small messages to many clients, some of them slow.

mod patience;

pub(crate) use patience::Patient;

use crate::http::LONG_TIME_LIMIT;
use patience::Limits;
use poem::{
    http::uri::Scheme,
    listener::{Acceptor, TcpAcceptor},
    web::{LocalAddr, RemoteAddr},
};
use std::{
    io::{Error, Result},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{TcpSocket, TcpStream},
    sync::Semaphore,
};

/// Connections that may wait to be accepted; the kernel takes its own limit (somaxconn) where that is less.
const BACKLOG: u32 = 4_096;
/// What the kernel may hold for one client that has not taken it yet, in bytes. Left to itself it lets this grow to
/// megabytes, out of sight of the bound on a session's queue. What fits is enough for 10 Mbit/s over 100 ms.
const SEND_BUFFER_BYTES: u32 = 128 * 1024;

/// Most connections at once, if the system lets us have so many files. One more waits in the backlog.
const CONNECTIONS_MAX: usize = 60_000;
/// Files that stay free for what is not a connection: databases and their journals, logs.
const FILES_KEPT: usize = 256;
/// How long until another attempt when a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const LIMITS: Limits = Limits {
    head: Duration::from_secs(20),
    silence: LONG_TIME_LIMIT.saturating_add(Duration::from_secs(60)),
};

/// A listening socket.
pub(crate) struct Door {
    acceptor: TcpAcceptor,
    places: Arc<Semaphore>,
}

/// How many connections there may be. Lets this process have as many files as the system allows it.
fn places() -> usize {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let wanted = (CONNECTIONS_MAX + FILES_KEPT) as u64;
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let allowed = maximum.map_or(wanted, |maximum| maximum.min(wanted));
        if current.is_some_and(|current| current < allowed) {
            // What is refused here leaves us where we are.
            let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(allowed), maximum });
        }
        let files = getrlimit(Resource::Nofile).current.map_or(wanted, |current| current.min(wanted));
        let files = usize::try_from(files).unwrap_or(CONNECTIONS_MAX);
        files - FILES_KEPT.min(files / 2)
    }
    #[cfg(not(unix))]
    CONNECTIONS_MAX
}

impl Door {
    /// Listens on an address; port 0 takes any that is free.
    ///
    /// # Errors
    /// Something else listens there, or this machine has no such address.
    pub(crate) fn open(address: SocketAddr) -> Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // A restart must not wait for connections of the one before to time out; on Windows it means something else.
        #[cfg(unix)]
        socket.set_reuseaddr(true)?;
        // Accepted sockets have what the listening one has.
        socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
        socket.bind(address)?;
        let acceptor = TcpAcceptor::from_tokio(socket.listen(BACKLOG)?)?;
        Ok(Self { acceptor, places: Arc::new(Semaphore::new(places())) })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.acceptor.local_addr().first()?.as_socket_addr().copied()
    }
}

impl Acceptor for Door {
    type Io = Patient<TcpStream>;

    fn local_addr(&self) -> Vec<LocalAddr> {
        self.acceptor.local_addr()
    }

    async fn accept(&mut self) -> Result<(Self::Io, LocalAddr, RemoteAddr, Scheme)> {
        let place = self.places.clone().acquire_owned().await.map_err(Error::other)?;
        let mut told = false;
        let (stream, local, remote, scheme) = loop {
            match self.acceptor.accept().await {
                Ok(accepted) => break accepted,
                Err(error) => {
                    // Out of files or memory, most likely: whoever asks again at once only makes it worse.
                    if !told {
                        tracing::error!(error = %error, "connections can't be accepted");
                        told = true;
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        };
        // A frame is written when it is whole. To wait for more (RFC 896) would cost a client that acknowledges late
        // 40 ms. One that has gone already can't be told, and is noticed by whoever reads from it.
        let _ = stream.set_nodelay(true);
        Ok((Patient::new(stream, LIMITS, place), local, remote, scheme))
    }
}
