//! One session's I/O: one task reads frames, writes what is queued, and waits for what is under way.

use super::{
    Realtime,
    account::Account,
    handshake::WRITE_BUFFER_BYTES,
    slots::{HELD_MAX, Slots},
};
use crate::{
    realtime::{Inbox, Item, Outbox, Overflow, Payload, outbox},
    stomp::{
        Decoder, Frame, HeartBeat, HeartBeatPolicy, Item as StompItem, Limits, ProtocolError, Session,
        encoder, encoder::ErrorFrame, session::Delivery,
    },
    trace::{Step, TRACEPARENT},
};
use futures_util::{SinkExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use poem::Upgraded;
use std::{collections::VecDeque, future::poll_fn, pin::Pin, sync::Arc, task::Poll, time::Duration};
use tokio::time::{Instant, Sleep};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error as WsError, Message,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};
use verbatim_application::{AppError, Caller, ErrorClass, TraceContext, ports::AccessClaims};

/// Commands of one session that may be under way. While so many are, nothing more is read from it.
const IN_FLIGHT_MAX: usize = 512;
/// WebSocket messages that may wait to be written before nothing more is read: who does not take the answers can't go
/// on asking.
const WAITING_MAX: usize = 1_024;
/// How long a client may take to send CONNECT.
pub(super) const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long a session that is over may take to be written out, and its client to close.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);
/// How long what is under way may take when the session is to end.
const DRAIN_LIMIT: Duration = Duration::from_secs(15);
/// How long a socket may take nothing at all.
pub(super) const STALL_LIMIT: Duration = Duration::from_secs(60);
/// Items taken from the queue at once.
const ITEMS_AT_ONCE: usize = 128;

/// What became of something that was under way.
pub(super) enum Finished {
    /// Receipts to send, each with further headers.
    Receipts(Vec<(String, Vec<(&'static str, String)>)>),
    /// It was refused.
    Failed { error: AppError, receipt: Option<String> },
}

pub(super) enum Phase {
    Open,
    /// Nothing more is read; once nothing is under way, this receipt and then the close.
    Draining {
        receipt: Option<String>,
        code: CloseCode,
        reason: &'static str,
        deadline: Instant,
    },
    /// The close is queued or sent.
    Closing {
        deadline: Instant,
    },
    /// Nothing more to do.
    Over,
}

enum Wake {
    Flushed,
    Message(Message),
    TooLarge,
    Gone,
    Items,
    Finished(Finished),
    Overflow,
    Stop,
    Timer,
}

pub(super) struct Connection {
    socket: WebSocketStream<Upgraded>,
    pub(super) realtime: Arc<Realtime>,
    decoder: Decoder,
    pub(super) protocol: Session,
    /// From the ticket of the handshake.
    pub(super) ticket: Option<AccessClaims>,
    pub(super) caller: Option<Caller>,
    pub(super) outbox: Outbox,
    inbox: Inbox,
    overflow: Overflow,
    pub(super) slots: Slots,
    pub(super) heart_beat: HeartBeat,
    /// Names this session in logs and problem documents.
    pub(super) id: Arc<str>,
    /// The trace that the handshake said it belongs to; frames that say nothing else belong to it too.
    trace: Option<TraceContext>,
    pub(super) in_flight: FuturesUnordered<BoxFuture<'static, Finished>>,
    pub(super) typed: Option<Instant>,
    pub(super) out: VecDeque<Message>,
    pub(super) flushing: Option<Instant>,
    pub(super) phase: Phase,
    pub(super) opened: Instant,
    pub(super) last_sent: Instant,
    pub(super) last_received: Instant,
    pub(super) timer: Pin<Box<Sleep>>,
    end: &'static str,
}

/// Begins a session. Boxed: futures that it is moved through would each have room for it.
pub(super) fn open(
    socket: WebSocketStream<Upgraded>,
    realtime: Arc<Realtime>,
    ticket: Option<AccessClaims>,
    trace: Option<TraceContext>,
) -> Box<Connection> {
    let (outbox, inbox) = outbox();
    let now = Instant::now();
    Box::new(Connection {
        socket,
        decoder: Decoder::new(Limits::default()),
        protocol: Session::new(HeartBeatPolicy::default()),
        ticket,
        caller: None,
        outbox,
        overflow: inbox.overflow(),
        inbox,
        slots: Slots::default(),
        heart_beat: HeartBeat::NONE,
        id: realtime.app.ids.next().to_string().into(),
        trace,
        realtime,
        in_flight: FuturesUnordered::new(),
        typed: None,
        out: VecDeque::new(),
        flushing: None,
        phase: Phase::Open,
        opened: now,
        last_sent: now,
        last_received: now,
        timer: Box::pin(tokio::time::sleep_until(now + CONNECT_LIMIT)),
        end: "client_gone",
    })
}

impl Connection {
    /// Serves the client until one of both ends it.
    pub(super) async fn run(mut self: Box<Self>) {
        let observer = self.realtime.observer.clone();
        observer.opened("stomp");
        self.serve().await;
        let (id, caller, code) = (self.id.clone(), self.caller, self.end);
        // What is in flight is told of before.
        drop(self);
        observer.closed("stomp", code);
        let member_id = caller.map(|caller| tracing::field::display(caller.member_id));
        tracing::info!(request_id = &*id, member_id, code, "session ended");
    }

    async fn serve(&mut self) {
        loop {
            if matches!(self.phase, Phase::Open)
                && self.flushing.is_none()
                && self.out.is_empty()
                && let Some(resume) = self.slots.due()
            {
                Box::pin(self.resume(resume)).await;
            }
            self.write();
            match self.wake().await {
                Wake::Flushed => self.flushing = None,
                Wake::Message(message) => self.receive(message).await,
                Wake::TooLarge => self.close(CloseCode::Size, "message too large", "too_large"),
                Wake::Items => self.take_items(ITEMS_AT_ONCE),
                Wake::Finished(finished) => self.finish(finished),
                Wake::Overflow => self.overflowed(),
                Wake::Stop => self.drain(None, CloseCode::Restart, "server_stopping"),
                Wake::Timer => self.look_at_the_clock(),
                Wake::Gone => return,
            }
            self.drained();
            if matches!(self.phase, Phase::Over) {
                return;
            }
        }
    }

    /// Whether more may be read from the client now.
    pub(super) fn reads(&self) -> bool {
        self.in_flight.len() < IN_FLIGHT_MAX && self.out.len() < WAITING_MAX
    }

    async fn wake(&mut self) -> Wake {
        let open = matches!(self.phase, Phase::Open);
        let closing = matches!(self.phase, Phase::Closing { .. });
        let flushing = self.flushing.is_some();
        // While a session drains, its client may still close, but what it sends is not read.
        let reading = closing || (open && self.reads());
        let socket = &mut self.socket;
        let io = poll_fn(|cx| {
            if flushing {
                match socket.poll_flush_unpin(cx) {
                    Poll::Ready(Ok(())) => return Poll::Ready(Wake::Flushed),
                    Poll::Ready(Err(_)) => return Poll::Ready(Wake::Gone),
                    Poll::Pending => {}
                }
            }
            if !reading {
                return Poll::Pending;
            }
            match socket.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(message))) => Poll::Ready(Wake::Message(message)),
                Poll::Ready(Some(Err(WsError::Capacity(_)))) if open => Poll::Ready(Wake::TooLarge),
                Poll::Ready(_) => Poll::Ready(Wake::Gone),
                Poll::Pending => Poll::Pending,
            }
        });
        tokio::select! {
            wake = io => wake,
            true = self.inbox.ready(), if open && !flushing && self.out.is_empty() => Wake::Items,
            Some(finished) = self.in_flight.next(), if !self.in_flight.is_empty() => Wake::Finished(finished),
            () = self.overflow.happened(), if open => Wake::Overflow,
            () = self.realtime.stop.cancelled(), if open => Wake::Stop,
            () = &mut self.timer => Wake::Timer,
        }
    }

    /// Moves what is queued into the socket's buffer, as much as fits it, and starts to flush.
    fn write(&mut self) {
        if self.flushing.is_some() || self.out.is_empty() {
            return;
        }
        let mut room = WRITE_BUFFER_BYTES / 2;
        while room > 0 {
            let Some(message) = self.out.pop_front() else { break };
            room = room.saturating_sub(message.len() + 16);
            // After a complete flush the socket takes messages at once, up to its buffer.
            if futures_util::FutureExt::now_or_never(self.socket.feed(message)).is_none_or(|fed| fed.is_err())
            {
                // The next read says that it is gone.
                self.out.clear();
                break;
            }
        }
        let now = Instant::now();
        self.last_sent = now;
        self.flushing = Some(now);
    }

    pub(super) fn push(&mut self, frame: Vec<u8>) {
        // Not every client can decode a text message that is not UTF-8; the rare frame that is none goes as binary.
        let message = match String::from_utf8(frame) {
            Ok(text) => Message::text(text),
            Err(error) => Message::binary(error.into_bytes()),
        };
        self.out.push_back(message);
    }

    async fn receive(&mut self, message: Message) {
        self.last_received = Instant::now();
        if !matches!(self.phase, Phase::Open) {
            return;
        }
        match message {
            Message::Text(text) => self.feed(text.as_bytes()).await,
            Message::Binary(bytes) => self.feed(&bytes).await,
            Message::Ping(_) | Message::Pong(_) => {
                // The socket has queued the pong itself; it is written with the next flush.
                self.flushing.get_or_insert_with(Instant::now);
            }
            Message::Close(_) | Message::Frame(_) => {}
        }
    }

    async fn feed(&mut self, mut input: &[u8]) {
        while matches!(self.phase, Phase::Open) {
            match self.decoder.decode(&mut input) {
                Ok(Some(StompItem::Frame(frame))) => {
                    let account = self.account(Some(&frame));
                    let action = self.protocol.handle(frame);
                    // Boxed, as is a resume: a connection that waits for frames holds no room for what they need.
                    Box::pin(self.act(action, account)).await;
                }
                Ok(Some(StompItem::HeartBeat)) => {}
                Ok(None) => return,
                Err(error) => {
                    let receipt = self.decoder.pending_receipt().map(str::to_owned);
                    let error = self.protocol.fail(error, receipt.as_deref());
                    let account = self.account(None);
                    return self.violated(&error, account);
                }
            }
        }
    }

    /// Opens the account of a frame, or of what is none.
    fn account(&self, frame: Option<&Frame>) -> Account {
        let parent = frame.and_then(|frame| TraceContext::parse(frame.header(TRACEPARENT)?)).or(self.trace);
        let step = Step::after(parent, &*self.realtime.app.ids);
        let member = self.caller.map(|caller| caller.member_id);
        let command = frame.map(|frame| frame.command.as_str());
        Account::new(command, step, self.id.clone(), member, self.realtime.observer.clone())
    }

    pub(super) fn connected(&mut self, version: crate::stomp::Version, heart_beat: HeartBeat) {
        self.decoder.set_version(version);
        self.protocol.accept();
        self.heart_beat = heart_beat;
        let mut frame = Vec::new();
        encoder::connected(
            &encoder::Connected {
                version,
                session: &self.id,
                server: concat!("verbatim/", env!("CARGO_PKG_VERSION")),
                heart_beat,
            },
            &mut frame,
        );
        self.push(frame);
        self.set_timer();
    }

    /// The client broke the protocol: ERROR, then close (STOMP 1.2, ERROR).
    pub(super) fn violated(&mut self, error: &ProtocolError, account: Account) {
        let class = if error.violation.is_limit() { ErrorClass::TooLarge } else { ErrorClass::Invalid };
        let problem = AppError::new(class, "stomp_violation", error.violation.to_string());
        account.failed(&problem);
        let headers = error.violation.headers();
        self.push_error(error.violation.summary(), &problem, error.receipt_id.as_deref(), headers);
        self.close(CloseCode::Protocol, "protocol violation", "violation");
    }

    /// Something the client asked for was refused: ERROR, and then close where the version's specification says so.
    pub(super) fn refuse(&mut self, error: &AppError, receipt: Option<&str>) {
        if !matches!(self.phase, Phase::Open | Phase::Draining { .. }) {
            return;
        }
        self.push_error(&error.detail, error, receipt, &[]);
        if encoder::closes_after_error(self.protocol.version()) || self.caller.is_none() {
            self.close(CloseCode::Policy, error.code, "refused");
        }
    }

    fn push_error(
        &mut self,
        message: &str,
        error: &AppError,
        receipt_id: Option<&str>,
        headers: &[(&str, &str)],
    ) {
        let body = crate::http::problem::json(error, &self.id);
        let content_type = crate::http::problem::CONTENT_TYPE;
        let mut frame = Vec::new();
        encoder::error(
            self.protocol.version(),
            &ErrorFrame { message, receipt_id, headers, content_type, body: body.as_bytes() },
            &mut frame,
        );
        self.push(frame);
    }

    /// Ends the session once what is under way is done.
    pub(super) fn drain(&mut self, receipt: Option<String>, code: CloseCode, reason: &'static str) {
        self.phase = Phase::Draining { receipt, code, reason, deadline: Instant::now() + DRAIN_LIMIT };
        self.set_timer();
    }

    fn drained(&mut self) {
        if !self.in_flight.is_empty() {
            return;
        }
        let Phase::Draining { receipt, code, reason, .. } = &mut self.phase else { return };
        let (receipt, code, reason) = (receipt.take(), *code, *reason);
        if let Some(id) = receipt {
            self.push_receipt(&id, &[]);
        }
        self.close(code, reason, reason);
    }

    pub(super) fn close(&mut self, code: CloseCode, text: &'static str, reason: &'static str) {
        self.end = reason;
        self.protocol.close();
        // What the hub has queued is not sent any more, and it queues nothing more.
        self.slots = Slots::default();
        self.inbox.close();
        self.out.push_back(Message::Close(Some(CloseFrame { code, reason: text.into() })));
        self.phase = Phase::Closing { deadline: Instant::now() + CLOSE_LIMIT };
        self.set_timer();
    }

    pub(super) fn overflowed(&mut self) {
        let error = AppError::new(
            ErrorClass::Overloaded,
            "slow_client",
            "this client reads too slowly; connect again and resume with after-seq",
        );
        self.push_error("slow client", &error, None, &[]);
        self.close(CloseCode::Again, "slow client: resume with after-seq", "slow_client");
    }

    pub(super) fn push_receipt(&mut self, id: &str, headers: &[(&str, &str)]) {
        let mut frame = Vec::with_capacity(128);
        encoder::receipt(self.protocol.version(), id, headers, &mut frame);
        self.push(frame);
    }

    /// Waits until nothing is under way; each part of it has a time limit of its own.
    pub(super) async fn finish_in_flight(&mut self) {
        while let Some(finished) = self.in_flight.next().await {
            self.finish(finished);
        }
    }

    fn finish(&mut self, finished: Finished) {
        match finished {
            Finished::Receipts(receipts) => {
                for (id, headers) in receipts {
                    let headers: Vec<(&str, &str)> =
                        headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
                    self.push_receipt(&id, &headers);
                }
            }
            Finished::Failed { error, receipt } => self.refuse(&error, receipt.as_deref()),
        }
    }

    pub(super) fn take_items(&mut self, limit: usize) {
        for item in self.inbox.take(limit) {
            self.deliver(item);
        }
    }

    /// Sends an item to its subscription, unless it was sent on resuming or must wait for acknowledgments.
    pub(super) fn deliver(&mut self, item: Item) {
        let (number, last) = (item.subscription, item.last);
        let Some(slot) = self.slots.get(number) else { return };
        if item.seq > 0 && (slot.resuming || item.seq <= slot.resumed_to) {
            return;
        }
        let key = slot.key.clone();
        match &item.payload {
            Payload::Ready(text) => self.out.push_back(Message::Text(text.clone())),
            Payload::Acknowledged { .. } if !slot.held.is_empty() => {
                slot.held.push_back(item);
                if slot.held.len() > HELD_MAX {
                    self.outbox.cut_off();
                }
            }
            Payload::Acknowledged { template, message_id } => {
                match self.protocol.register_delivery(&key, message_id) {
                    Ok(ack) => self.push(template.frame(key.header(), ack)),
                    Err(Delivery::Paused) => slot.held.push_back(item),
                    Err(Delivery::Ready | Delivery::Gone) => {}
                }
            }
        }
        if last {
            self.protocol.end_subscription(&key);
            self.slots.close(number);
        }
    }
}
