//! A TCP proxy between a client and a server that can be cut, as a network is.

use crate::Port;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Whole,
    /// Nothing passes, and neither side is told.
    Cut,
    /// The proxy is gone.
    Closed,
}

#[derive(Debug)]
struct State {
    line: Line,
    open: Vec<TcpStream>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn set(&self, line: Line) -> std::sync::MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.line = line;
        self.changed.notify_all();
        state
    }

    /// Waits while the line is cut; false when the proxy is gone.
    fn passes(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = self.changed.wait_while(state, |state| state.line == Line::Cut);
        whole.unwrap_or_else(PoisonError::into_inner).line == Line::Whole
    }
}

/// Passes TCP connections on to one server.
#[derive(Debug)]
pub struct Proxy {
    port: Port,
    shared: Arc<Shared>,
}

impl Proxy {
    /// A proxy in front of a port of 127.0.0.1.
    #[must_use]
    pub fn start(to: u16) -> Self {
        let port = Port::take();
        let listener = TcpListener::bind(port.address()).expect("the proxy's port");
        let state = Mutex::new(State { line: Line::Whole, open: Vec::new() });
        let shared = Arc::new(Shared { state, changed: Condvar::new() });
        let of_thread = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if of_thread.state.lock().unwrap_or_else(PoisonError::into_inner).line == Line::Closed {
                    return;
                }
                let shared = Arc::clone(&of_thread);
                thread::spawn(move || serve(&client, to, &shared));
            }
        });
        Self { port, shared }
    }

    /// Where clients connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// From now on nothing passes. Connections stay open and new ones are taken, but nobody hears of the other side:
    /// what a cable that was pulled looks like.
    pub fn cut(&self) {
        drop(self.shared.set(Line::Cut));
    }

    /// Everything passes again, what was held back first.
    pub fn heal(&self) {
        drop(self.shared.set(Line::Whole));
    }

    /// Closes every connection; new ones pass.
    pub fn sever(&self) {
        for stream in self.shared.set(Line::Whole).open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        for stream in self.shared.set(Line::Closed).open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Wakes the thread that waits for clients.
        let _ = TcpStream::connect(self.port.address());
    }
}

fn serve(client: &TcpStream, to: u16, shared: &Arc<Shared>) {
    if !shared.passes() {
        return;
    }
    let Ok(server) = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, to))) else { return };
    let (Ok(client_in), Ok(server_in)) = (client.try_clone(), server.try_clone()) else { return };
    for stream in [client, &server] {
        let _ = stream.set_nodelay(true);
        if let Ok(stream) = stream.try_clone() {
            shared.state.lock().unwrap_or_else(PoisonError::into_inner).open.push(stream);
        }
    }
    thread::scope(|scope| {
        scope.spawn(|| pass(client_in, &server, shared));
        pass(server_in, client, shared);
    });
}

fn pass(mut from: TcpStream, mut to: &TcpStream, shared: &Shared) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if !shared.passes() || to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    // The other side learns of an end only while something passes.
    if shared.passes() {
        let _ = to.shutdown(Shutdown::Write);
    }
}
