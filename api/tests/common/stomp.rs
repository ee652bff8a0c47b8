//! A STOMP client that does just what a test says, right or wrong.

use super::{Server, within};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use std::{collections::VecDeque, panic::Location};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest, protocol::CloseFrame},
};
use verbatim_api::stomp::{Command, Decoder, Frame, Item, Limits, Version, encoder};

/// How to open the WebSocket.
#[derive(Debug, Default, Clone)]
pub struct Handshake {
    /// Value of `Sec-WebSocket-Protocol`, if any.
    pub protocols: Option<&'static str>,
    /// The query, without its question mark.
    pub query: String,
    /// Value of `traceparent`, if any.
    pub traceparent: Option<&'static str>,
    /// Size of the socket's receive buffer: a small one makes a slow client at once.
    pub receive_buffer: Option<u32>,
}

/// What comes from a server.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// A frame.
    Frame(Frame),
    /// A heart-beat.
    HeartBeat,
    /// The WebSocket was closed, with this code and reason if it was in order.
    Closed(Option<(u16, String)>),
}

/// A frame, for what clients send.
pub fn frame(command: Command, headers: &[(&str, &str)], body: &str) -> Frame {
    let frame = headers.iter().fold(Frame::new(command), |frame, (name, value)| frame.with(name, value));
    frame.with_body(body.to_owned())
}

/// A session.
pub struct Stomp {
    socket: WebSocketStream<TcpStream>,
    decoder: Decoder,
    version: Version,
    heard: VecDeque<Heard>,
    receipts: u64,
    /// The subprotocol the server chose.
    pub subprotocol: Option<String>,
}

impl Stomp {
    /// Opens the WebSocket.
    #[track_caller]
    pub fn open(server: &Server, handshake: &Handshake) -> impl Future<Output = Self> {
        let place = Location::caller();
        async move {
            Self::try_open(server, handshake)
                .await
                .unwrap_or_else(|error| panic!("{place}: no WebSocket: {error:?}"))
        }
    }

    /// Opens the WebSocket.
    ///
    /// # Errors
    /// The server refuses it.
    pub async fn try_open(server: &Server, handshake: &Handshake) -> Result<Self, Error> {
        let authority = server.authority();
        let query = if handshake.query.is_empty() { String::new() } else { format!("?{}", handshake.query) };
        let mut request = format!("ws://{authority}/ws{query}").into_client_request()?;
        if let Some(protocols) = handshake.protocols {
            request.headers_mut().insert("Sec-WebSocket-Protocol", protocols.parse().unwrap());
        }
        if let Some(trace) = handshake.traceparent {
            request.headers_mut().insert("traceparent", trace.parse().unwrap());
        }
        let socket = TcpSocket::new_v4()?;
        if let Some(bytes) = handshake.receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        let stream = within("a connection", socket.connect(authority.parse().unwrap())).await?;
        stream.set_nodelay(true)?;
        let (socket, response) = within("a WebSocket", client_async(request, stream)).await?;
        let subprotocol = response.headers().get("Sec-WebSocket-Protocol");
        Ok(Self {
            socket,
            decoder: Decoder::for_server_frames(Limits { body: 1 << 20, ..Limits::default() }),
            version: Version::V1_0,
            heard: VecDeque::new(),
            receipts: 0,
            subprotocol: subprotocol.map(|value| value.to_str().unwrap().to_owned()),
        })
    }

    /// Connects with a token; gives the CONNECTED frame.
    pub async fn connect(&mut self, versions: &str, token: &str) -> Frame {
        let bearer = format!("Bearer {token}");
        let headers = [("accept-version", versions), ("host", "verbatim"), ("Authorization", &bearer)];
        self.connect_with(&headers).await
    }

    /// Connects with these headers; gives the CONNECTED frame.
    pub async fn connect_with(&mut self, headers: &[(&str, &str)]) -> Frame {
        self.send(&frame(Command::Connect, headers, "")).await;
        self.connected().await
    }

    /// Waits for CONNECTED, and speaks its version from then on.
    pub async fn connected(&mut self) -> Frame {
        let connected = self.expect(Command::Connected).await;
        let version = connected.header("version").unwrap_or("1.0");
        self.version = Version::ALL.into_iter().find(|known| known.as_str() == version).unwrap();
        self.decoder.set_version(self.version);
        connected
    }

    /// A frame as it goes over the wire in the version agreed on.
    pub fn encode(&self, frame: &Frame) -> Vec<u8> {
        let mut bytes = Vec::new();
        encoder::frame(self.version, frame, &mut bytes);
        bytes
    }

    /// Sends a frame in a text message of its own.
    pub async fn send(&mut self, frame: &Frame) {
        let bytes = self.encode(frame);
        self.send_text(&String::from_utf8(bytes).unwrap()).await;
    }

    /// Sends one text message.
    pub async fn send_text(&mut self, text: &str) {
        self.send_message(Message::text(text)).await;
    }

    /// Sends one binary message.
    pub async fn send_binary(&mut self, bytes: &[u8]) {
        self.send_message(Message::binary(bytes.to_vec())).await;
    }

    /// Sends one WebSocket message of any kind.
    pub async fn send_message(&mut self, message: Message) {
        within("sending", self.socket.send(message)).await.unwrap();
    }

    /// As [`Self::send`], to a server that may be gone.
    ///
    /// # Errors
    /// It is gone.
    pub async fn try_send(&mut self, frame: &Frame) -> Result<(), Error> {
        let text = String::from_utf8(self.encode(frame)).unwrap();
        within("sending", self.socket.send(Message::text(text))).await
    }

    /// What comes next.
    #[track_caller]
    pub fn next(&mut self) -> impl Future<Output = Heard> {
        within("something from the server", self.read())
    }

    /// What comes next, however long it takes.
    pub async fn read(&mut self) -> Heard {
        loop {
            if let Some(heard) = self.heard.pop_front() {
                return heard;
            }
            let bytes = match self.socket.next().await {
                Some(Ok(Message::Text(text))) => text.as_bytes().to_vec(),
                Some(Ok(Message::Binary(bytes))) => bytes.to_vec(),
                Some(Ok(Message::Close(close))) => {
                    // The answer to it stands ready; the server waits for it.
                    let _ = self.socket.flush().await;
                    return Heard::Closed(close.map(reason));
                }
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return Heard::Closed(None),
            };
            self.decode(&bytes);
        }
    }

    /// What has come already and nobody took, oldest first.
    pub fn heard_already(&mut self) -> Option<Heard> {
        self.heard.pop_front()
    }

    fn decode(&mut self, mut bytes: &[u8]) {
        while let Some(item) = self.decoder.decode(&mut bytes).expect("the server speaks STOMP") {
            // The version of what follows is known only to whoever takes the CONNECTED, but so is its shape: nothing
            // else comes in the same message.
            self.heard.push_back(match item {
                Item::Frame(frame) => Heard::Frame(frame),
                Item::HeartBeat => Heard::HeartBeat,
            });
        }
    }

    /// The next frame; heart-beats are passed over.
    #[track_caller]
    pub fn frame(&mut self) -> impl Future<Output = Frame> {
        let place = Location::caller();
        within("a frame", async move {
            loop {
                match self.read().await {
                    Heard::Frame(frame) => return frame,
                    Heard::HeartBeat => {}
                    Heard::Closed(reason) => panic!("{place}: closed, where a frame was to come: {reason:?}"),
                }
            }
        })
    }

    /// The next frame, which must be of this command.
    #[track_caller]
    pub fn expect(&mut self, command: Command) -> impl Future<Output = Frame> {
        let place = Location::caller();
        let next = self.frame();
        async move {
            let frame = next.await;
            assert!(frame.command == command, "{place}: {command} was to come, not {}", shown(&frame));
            frame
        }
    }

    /// The next frame that fits; what comes before it is kept for later.
    #[track_caller]
    pub fn wait_for(&mut self, fits: impl Fn(&Frame) -> bool) -> impl Future<Output = Frame> {
        let place = Location::caller();
        within("a certain frame", async move {
            let mut kept = VecDeque::new();
            loop {
                match self.read().await {
                    Heard::Frame(frame) if fits(&frame) => {
                        kept.append(&mut self.heard);
                        self.heard = kept;
                        return frame;
                    }
                    Heard::Closed(reason) => {
                        panic!("{place}: closed before it came: {reason:?}, after {kept:?}")
                    }
                    other => kept.push_back(other),
                }
            }
        })
    }

    /// The receipt of this id; what comes before it is kept for later.
    #[track_caller]
    pub fn receipt(&mut self, id: &str) -> impl Future<Output = Frame> {
        let place = Location::caller();
        let next = self.wait_for(move |frame| {
            matches!(frame.command, Command::Receipt | Command::Error)
                && frame.header("receipt-id") == Some(id)
        });
        async move {
            let frame = next.await;
            assert!(frame.command == Command::Receipt, "{place}: {}", shown(&frame));
            frame
        }
    }

    /// Sends a frame and waits for its receipt.
    #[track_caller]
    pub fn confirmed(
        &mut self,
        command: Command,
        headers: &[(&str, &str)],
        body: &str,
    ) -> impl Future<Output = Frame> {
        self.receipts += 1;
        let id = format!("receipt-{}", self.receipts);
        let frame = frame(command, headers, body).with("receipt", &id);
        async move {
            self.send(&frame).await;
            self.receipt(&id).await
        }
    }

    /// Says something; the receipt has `message-id` and `seq`.
    pub async fn say(&mut self, room: &str, body: &str) -> Frame {
        let destination = format!("/publish/{room}");
        let body = serde_json::json!({ "body": body }).to_string();
        self.confirmed(Command::Send, &[("destination", &destination)], &body).await
    }

    /// Listens to a room under this id.
    pub async fn subscribe(&mut self, id: &str, room: &str, after_seq: Option<u64>) {
        let (destination, after) = (format!("/topic/{room}"), after_seq.map(|seq| seq.to_string()));
        let mut headers = vec![("id", id), ("destination", &destination)];
        headers.extend(after.as_deref().map(|after| ("after-seq", after)));
        self.confirmed(Command::Subscribe, &headers, "").await;
    }

    /// Listens to one's own unread counts.
    pub async fn subscribe_unread(&mut self) {
        let headers = [("id", "unread"), ("destination", "/user/queue/unread")];
        self.confirmed(Command::Subscribe, &headers, "").await;
    }

    /// The next MESSAGE, which must be of this type; gives its body. People who came in just before one listened may
    /// still be announced: that is passed over.
    #[track_caller]
    pub fn message(&mut self, kind: &'static str) -> impl Future<Output = Value> {
        let place = Location::caller();
        async move {
            loop {
                let frame = self.frame().await;
                let found = frame.header("type").unwrap_or_default();
                if found == "member_joined" && kind != found {
                    continue;
                }
                assert!(
                    frame.command == Command::Message && found == kind,
                    "{place}: {kind} was to come, not {}",
                    shown(&frame)
                );
                return serde_json::from_slice(&frame.body).unwrap();
            }
        }
    }

    /// Waits for the ERROR that ends the session, and for the close; gives the frame and the close code.
    #[track_caller]
    pub fn refused(&mut self) -> impl Future<Output = (Frame, u16)> {
        let place = Location::caller();
        async move {
            let error = self.wait_for(|frame| frame.command == Command::Error).await;
            match self.closed().await {
                Some((code, _)) => (error, code),
                None => panic!("{place}: broken off after {}", shown(&error)),
            }
        }
    }

    /// Waits for the close; nothing but heart-beats and messages may come before it.
    #[track_caller]
    pub fn closed(&mut self) -> impl Future<Output = Option<(u16, String)>> {
        let place = Location::caller();
        within("the close", async move {
            loop {
                match self.read().await {
                    Heard::Closed(reason) => return reason,
                    Heard::Frame(frame) if frame.command != Command::Message => {
                        panic!("{place}: the close was to come, not {}", shown(&frame));
                    }
                    _ => {}
                }
            }
        })
    }
}

fn reason(close: CloseFrame) -> (u16, String) {
    (close.code.into(), close.reason.to_string())
}

/// A frame as a test's author wants to see it.
fn shown(frame: &Frame) -> String {
    let headers: Vec<String> = frame.headers.iter().map(|(name, value)| format!("{name}:{value}")).collect();
    format!("{} [{}] {}", frame.command, headers.join(" "), String::from_utf8_lossy(&frame.body))
}

/// The code of the problem document of an ERROR.
#[track_caller]
pub fn code(error: &Frame) -> String {
    let problem: Value = serde_json::from_slice(&error.body).unwrap_or_else(|_| panic!("{}", shown(error)));
    problem["code"].as_str().unwrap_or_else(|| panic!("{problem}")).to_owned()
}
