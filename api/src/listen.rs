//! The socket that clients come to, set up for many small messages to many clients, some of them slow.

use poem::{
    http::uri::Scheme,
    listener::{Acceptor, TcpAcceptor},
    web::{LocalAddr, RemoteAddr},
};
use std::{io::Result, net::SocketAddr};
use tokio::net::{TcpSocket, TcpStream};

/// Connections that may wait to be accepted; the kernel takes its own limit (somaxconn) where that is less.
const BACKLOG: u32 = 4_096;
/// What the kernel may hold for one client that has not taken it yet, in bytes. Left to itself it lets this grow to
/// megabytes, out of sight of the bound on a session's queue. What fits is enough for 10 Mbit/s over 100 ms.
const SEND_BUFFER_BYTES: u32 = 128 * 1024;

/// A listening socket.
pub(crate) struct Door(TcpAcceptor);

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
        Ok(Self(TcpAcceptor::from_tokio(socket.listen(BACKLOG)?)?))
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.0.local_addr().first()?.as_socket_addr().copied()
    }
}

impl Acceptor for Door {
    type Io = TcpStream;

    fn local_addr(&self) -> Vec<LocalAddr> {
        self.0.local_addr()
    }

    async fn accept(&mut self) -> Result<(TcpStream, LocalAddr, RemoteAddr, Scheme)> {
        let accepted = self.0.accept().await?;
        // A frame is written when it is whole. To wait for more (RFC 896) would cost a client that acknowledges late
        // 40 ms. One that has gone already can't be told, and is noticed by whoever reads from it.
        let _ = accepted.0.set_nodelay(true);
        Ok(accepted)
    }
}
