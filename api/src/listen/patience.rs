//! A connection that does not wait for ever for its client, and gives its place back when it ends.

use std::{
    io::{Error, ErrorKind, IoSlice, Result},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::OwnedSemaphorePermit,
    time::{Instant, Sleep, sleep_until},
};

/// How a server begins its consent to another protocol (RFC 9112, section 4; RFC 9110, section 15.2.2).
const SWITCHING: &[u8] = b"HTTP/1.1 101";

/// How long a client may keep a connection without using it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// From the begin until the head of the first request is there: one who sends it byte by byte, or not at all, holds
    /// a file descriptor for no longer.
    pub(super) head: Duration,
    /// Later on, without a byte in either direction. Longer than any request may be worked on.
    pub(super) silence: Duration,
}

/// A connection with limits. It has none any more once it carries another protocol, whose sessions have their own.
pub(crate) struct Patient<T> {
    inner: T,
    wait: Option<Box<Wait>>,
    _place: OwnedSemaphorePermit,
}

struct Wait {
    limits: Limits,
    head: Head,
    /// The begin, as long as the first head is not there; then the last time that anything moved.
    since: Instant,
    timer: Pin<Box<Sleep>>,
}

/// How much of the first head has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Head {
    /// Nothing but ends of lines, which may come before a request (RFC 9112, section 2.2).
    Nothing,
    /// Something, and the last byte did not end a line, or did.
    Line { ended: bool },
    /// All of it.
    Whole,
}

impl Head {
    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Whole, _) | (Self::Line { ended: true }, b'\n') => Self::Whole,
            (Self::Line { .. }, b'\n') => Self::Line { ended: true },
            // Before the LF that ends a line, or odd and for the parser to refuse.
            (same, b'\r') => same,
            (Self::Nothing, b'\n') => Self::Nothing,
            (Self::Nothing | Self::Line { .. }, _) => Self::Line { ended: false },
        }
    }
}

impl Wait {
    fn begin(limits: Limits) -> Box<Self> {
        let since = Instant::now();
        let timer = Box::pin(sleep_until(since + limits.head));
        Box::new(Self { limits, head: Head::Nothing, since, timer })
    }

    fn heard(&mut self, bytes: &[u8]) {
        if self.head != Head::Whole {
            self.head = bytes.iter().fold(self.head, |head, byte| head.after(*byte));
        }
        self.moved();
    }

    fn moved(&mut self) {
        if self.head == Head::Whole {
            self.since = Instant::now();
        }
    }

    /// Ready when the client has had its time. The timer is set anew only when it goes off, not with each byte.
    fn poll_over(&mut self, context: &mut Context<'_>) -> Poll<Error> {
        loop {
            if self.timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            let limit = if self.head == Head::Whole { self.limits.silence } else { self.limits.head };
            let end = self.since + limit;
            if end <= Instant::now() {
                return Poll::Ready(ErrorKind::TimedOut.into());
            }
            self.timer.as_mut().reset(end);
        }
    }
}

impl<T> Patient<T> {
    pub(super) fn new(inner: T, limits: Limits, place: OwnedSemaphorePermit) -> Self {
        Self { inner, wait: Some(Wait::begin(limits)), _place: place }
    }

    fn says(&mut self, bytes: &[u8]) {
        if bytes.starts_with(SWITCHING) {
            self.wait = None;
        } else if let Some(wait) = &mut self.wait {
            wait.moved();
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Patient<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.inner).poll_read(context, buffer);
        let Some(wait) = &mut this.wait else { return read };
        match read {
            Poll::Ready(Ok(())) => wait.heard(buffer.filled().get(before..).unwrap_or_default()),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => return wait.poll_over(context).map(Err),
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Patient<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        if self.wait.is_some() && written.is_ready() {
            self.says(bytes);
        }
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, buffers);
        if self.wait.is_some() && written.is_ready() {
            let first = buffers.iter().find(|buffer| !buffer.is_empty());
            self.says(first.map(|buffer| &**buffer).unwrap_or_default());
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        sync::Semaphore,
        time::timeout,
    };

    const SHORT: Duration = Duration::from_millis(30);
    const LONG: Duration = Duration::from_secs(3_600);

    fn connection(head: Duration, silence: Duration) -> (DuplexStream, Patient<DuplexStream>) {
        let (client, server) = duplex(1024);
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        (client, Patient::new(server, Limits { head, silence }, place))
    }

    /// Whether the server gives up waiting for the client, rather than waiting for much longer than its short limit.
    async fn gives_up(server: &mut Patient<DuplexStream>) -> bool {
        let mut bytes = [0; 256];
        loop {
            match timeout(SHORT * 20, server.read(&mut bytes)).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return error.kind() == ErrorKind::TimedOut,
                Err(_) => return false,
            }
        }
    }

    #[tokio::test]
    async fn a_first_head_has_its_time() {
        for begun in
            ["", "\r\n\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\n", "GET / HTTP/1.1\r\nHost: x\r\nA: \r\r\r"]
        {
            let (mut client, mut server) = connection(SHORT, LONG);
            client.write_all(begun.as_bytes()).await.unwrap();
            assert!(gives_up(&mut server).await, "{begun:?}");
        }
        for whole in
            ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\r\nGET / HTTP/1.1\n\n", "GET / HTTP/1.1\r\n\r\nGET"]
        {
            let (mut client, mut server) = connection(SHORT, LONG);
            client.write_all(whole.as_bytes()).await.unwrap();
            assert!(!gives_up(&mut server).await, "{whole:?}");
        }
    }

    #[tokio::test]
    async fn bytes_one_by_one_do_not_make_the_time_longer() {
        let (mut client, mut server) = connection(SHORT, LONG);
        let drip = async {
            loop {
                client.write_all(b"x").await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = drip => {}
            over = gives_up(&mut server) => assert!(over),
        }
    }

    #[tokio::test]
    async fn after_that_silence_has_its_time_too() {
        let (mut client, mut server) = connection(LONG, SHORT);
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let mut bytes = [0; 256];
        assert!(server.read(&mut bytes).await.unwrap() > 0);
        server.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        // The timer still stands where the first head's time ends: it is set when that is over.
        assert!(!gives_up(&mut server).await);
        let (mut client, mut server) = connection(SHORT, SHORT);
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        assert!(gives_up(&mut server).await);
    }

    #[tokio::test]
    async fn another_protocol_has_its_own_limits() {
        for vectored in [false, true] {
            let (mut client, mut server) = connection(SHORT, SHORT);
            client.write_all(b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n").await.unwrap();
            let mut bytes = [0; 256];
            assert!(server.read(&mut bytes).await.unwrap() > 0);
            let answer = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
            if vectored {
                let parts = [IoSlice::new(b""), IoSlice::new(answer)];
                assert_eq!(server.write_vectored(&parts).await.unwrap(), answer.len());
            } else {
                server.write_all(answer).await.unwrap();
            }
            assert!(!gives_up(&mut server).await);
        }
    }
}
