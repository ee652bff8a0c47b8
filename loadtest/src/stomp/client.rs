//! A STOMP session over one WebSocket.

use super::{Decoder, Frame};
use crate::Error;
use futures_util::{SinkExt, StreamExt};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest, http::HeaderValue};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

/// The WebSocket underneath.
pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Read buffer of a connection that is one of thousands and mostly idle.
pub const SMALL_READ_BUFFER: usize = 4 << 10;
/// Read buffer of a connection that carries load, so that the client is not what is measured.
pub const LARGE_READ_BUFFER: usize = 64 << 10;

/// A connected session. Dropping it closes the TCP connection without a DISCONNECT, as a crash of the client would.
#[derive(Debug)]
pub struct Connection {
    socket: Socket,
    decoder: Decoder,
}

impl Connection {
    /// Opens the WebSocket and the STOMP session with `headers` added to CONNECT.
    ///
    /// # Errors
    /// No CONNECTED within `limit`, or anything else instead.
    pub async fn open(
        url: &str,
        headers: &[(String, String)],
        read_buffer: usize,
        limit: Duration,
    ) -> Result<Self, Error> {
        timeout(limit, Self::handshake(url, headers, read_buffer))
            .await
            .map_err(|_| Error::timeout(format!("CONNECTED from {url}"), limit))?
    }

    /// [`open`](Self::open) with the `Authorization` header that Verbatim wants.
    ///
    /// # Errors
    /// As `open`.
    pub async fn open_as(url: &str, token: &str, limit: Duration) -> Result<Self, Error> {
        let headers = [("Authorization".to_owned(), format!("Bearer {token}"))];
        Self::open(url, &headers, SMALL_READ_BUFFER, limit).await
    }

    async fn handshake(url: &str, headers: &[(String, String)], read_buffer: usize) -> Result<Self, Error> {
        let mut request = url.into_client_request()?;
        request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("v12.stomp"));
        let config = WebSocketConfig::default().read_buffer_size(read_buffer);
        // Nagle off: a send waits for its receipt, so a delayed packet would be measured as the server's time.
        let (socket, _) = connect_async_with_config(request, Some(config), true).await?;
        let mut connection = Self { socket, decoder: Decoder::new() };
        let mut connect =
            Frame::new("CONNECT").with("accept-version", "1.2,1.1,1.0").with("heart-beat", "0,0");
        connect.headers.extend(headers.iter().cloned());
        if connect.header("host").is_none() {
            connect = connect.with("host", "verbatim");
        }
        connection.send(&connect).await?;
        match connection.next().await? {
            frame if frame.command == "CONNECTED" => Ok(connection),
            frame => Err(Error::Refused(describe(&frame))),
        }
    }

    /// Writes one frame and flushes it.
    ///
    /// # Errors
    /// The connection broke; whether the server saw the frame is then unknown.
    pub async fn send(&mut self, frame: &Frame) -> Result<(), Error> {
        Ok(self.socket.send(message(frame)).await?)
    }

    /// The next frame, however long that takes. Cancelling loses nothing.
    ///
    /// # Errors
    /// The connection ended, or what came is not STOMP.
    pub async fn next(&mut self) -> Result<Frame, Error> {
        loop {
            if let Some(frame) = self.decoder.next().map_err(|error| Error::Protocol(error.to_string()))? {
                return Ok(frame);
            }
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => self.decoder.push(text.as_bytes()),
                Some(Ok(Message::Binary(bytes))) => self.decoder.push(&bytes),
                Some(Ok(Message::Close(frame))) => {
                    return Err(Error::Protocol(format!("closed by the server: {frame:?}")));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Err(Error::Protocol("connection ended".into())),
            }
        }
    }

    /// The next frame, or a timeout after `limit`.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn next_within(&mut self, limit: Duration) -> Result<Frame, Error> {
        timeout(limit, self.next()).await.map_err(|_| Error::timeout("a STOMP frame", limit))?
    }

    /// The bare WebSocket, for a caller that splits it; frames already decoded are lost, so only right after `open`.
    pub fn into_socket(self) -> Socket {
        self.socket
    }
}

/// A frame as a WebSocket message: text where that is possible, as browsers send it.
pub fn message(frame: &Frame) -> Message {
    match String::from_utf8(frame.encode()) {
        Ok(text) => Message::text(text),
        Err(error) => Message::binary(error.into_bytes()),
    }
}

/// What an unexpected frame says, in one line.
pub fn describe(frame: &Frame) -> String {
    let body: String = String::from_utf8_lossy(&frame.body).chars().take(300).collect();
    format!("{} {} {body}", frame.command, frame.header("message").unwrap_or_default())
}
