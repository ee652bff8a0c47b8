//! Server-sent events (WHATWG HTML, section 9.2): a room's messages, and a member's own unread counts.

use super::{Encoding, Inbox, Item, Overflow, Payload, RESUME_PAGE, Subscription, encode_message, outbox};
use crate::ws::Realtime;
use bytes::Bytes;
use futures_util::stream;
use poem::{Body, Response, http::header};
use std::{fmt::Write as _, time::Duration};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Interval, MissedTickBehavior, interval},
};
use tracing::Span;
use verbatim_application::{AppError, Caller, ErrorClass, error::causes, ports::Range, views::MessageView};
use verbatim_domain::{MemberId, RoomId};

/// A comment is sent this often, so that proxies and clients see that the stream lives.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// When a client is told to come back after a stream ends, in milliseconds.
const RETRY_MS: u32 = 2_000;
/// A chunk is written once it has so many bytes: it is a copy, and a client that does not read keeps one.
const CHUNK_BYTES: usize = 32 * 1024;

struct Session {
    realtime: Realtime,
    member: MemberId,
    inbox: Inbox,
    overflow: Overflow,
    heartbeat: Interval,
    /// Sent before anything else.
    greeting: Option<String>,
    /// What is still to be read from history.
    resume: Option<(RoomId, u64)>,
    resumed_to: u64,
    reason: &'static str,
    over: bool,
    /// Of the request that has opened it.
    span: Span,
    _subscription: Subscription,
    _place: OwnedSemaphorePermit,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.realtime.observer.closed("sse", self.reason);
        self.span.in_scope(|| tracing::info!(code = self.reason, "session ended"));
    }
}

impl Session {
    /// The next chunk; always whole events.
    async fn next(&mut self) -> Option<String> {
        loop {
            if self.over {
                return None;
            }
            if let Some(greeting) = self.greeting.take() {
                return Some(greeting);
            }
            let mut chunk = String::new();
            if let Some((room, after)) = self.resume {
                self.resume(room, after, &mut chunk).await;
            } else {
                self.wait(&mut chunk).await;
            }
            if !chunk.is_empty() {
                return Some(chunk);
            }
        }
    }

    async fn wait(&mut self, chunk: &mut String) {
        tokio::select! {
            // In this order: the hub lets go of a queue that has overflowed, and then it looks as if all were over.
            biased;
            () = self.realtime.stop.cancelled() => {
                let text = "the service is stopping; connect again and resume with Last-Event-ID";
                self.end("server_stopping", &AppError::new(ErrorClass::Unavailable, "stopping", text), chunk);
            }
            () = self.overflow.happened() => {
                let text = "this client reads too slowly; connect again and resume with Last-Event-ID";
                self.end("slow_client", &AppError::new(ErrorClass::Overloaded, "slow_client", text), chunk);
            }
            more = self.inbox.ready() => {
                self.over = !more;
                self.take(false, chunk);
            }
            _ = self.heartbeat.tick() => chunk.push_str(": heartbeat\n\n"),
        }
    }

    /// Writes what is queued, a chunk of it at most; while history is being read, live messages are dropped, for it has
    /// them already.
    fn take(&mut self, resuming: bool, chunk: &mut String) {
        while (resuming || chunk.len() < CHUNK_BYTES)
            && let Some(item) = self.inbox.take_one()
        {
            if item.seq > 0 && (resuming || item.seq <= self.resumed_to) {
                continue;
            }
            self.over |= item.last;
            write_item(&item, chunk);
        }
    }

    async fn page(&mut self, room: RoomId, after: u64) -> Result<Vec<MessageView>, AppError> {
        let app = &self.realtime.app;
        let page = app.history.messages(room, Range::After(after), RESUME_PAGE).await?;
        // Checked after it was read: what was said after a removal is not told, though the push of it is on its way.
        app.admit(self.member, room).await?;
        Ok(page)
    }

    async fn resume(&mut self, room: RoomId, after: u64, chunk: &mut String) {
        match self.page(room, after).await {
            Ok(page) => {
                for message in &page {
                    self.resumed_to = message.seq;
                    if let Some(Payload::Ready(text)) = encode_message(message, &Encoding::Sse) {
                        chunk.push_str(&text);
                    }
                }
                self.resume = match page.last() {
                    Some(newest) if page.len() == RESUME_PAGE => Some((room, newest.seq)),
                    _ => None,
                };
                // As long as there is more to read, history has what came meanwhile; at its end, what came after that is
                // new.
                self.take(self.resume.is_some(), chunk);
            }
            Err(error) => {
                // Without a source it is no failure of ours: a removal from the room, most likely.
                let reason = error.source.as_ref().map_or("refused", |source| {
                    let (code, error) = (error.code, causes(source.as_ref()));
                    self.span.in_scope(|| tracing::error!(code, error, "a stream can't be resumed"));
                    "failed"
                });
                self.end(reason, &error, chunk);
            }
        }
    }

    fn end(&mut self, reason: &'static str, error: &AppError, chunk: &mut String) {
        self.over = true;
        self.reason = reason;
        let problem = crate::http::problem::json(error, "");
        // Writing to a String can't fail.
        let _ = write!(chunk, "retry: {RETRY_MS}\nevent: close\ndata: {problem}\n\n");
    }
}

fn write_item(item: &Item, chunk: &mut String) {
    if let Payload::Ready(text) = &item.payload {
        chunk.push_str(text);
    }
}

fn respond(session: Session) -> Response {
    session.realtime.observer.opened("sse");
    let chunks = stream::unfold(session, |mut session| async move {
        let chunk = session.next().await?;
        Some((Ok::<_, std::io::Error>(Bytes::from(chunk)), session))
    });
    Response::builder()
        .content_type("text/event-stream")
        .header(header::CACHE_CONTROL, "no-store")
        // nginx would buffer the stream otherwise.
        .header("X-Accel-Buffering", "no")
        .body(Body::from_bytes_stream(chunks))
}

impl Realtime {
    /// Takes a place for a session.
    pub(crate) fn place(&self) -> Result<OwnedSemaphorePermit, AppError> {
        self.places.clone().try_acquire_owned().map_err(|_| {
            AppError::new(ErrorClass::Overloaded, "too_many_sessions", "no more sessions fit here")
        })
    }

    fn session(
        &self,
        member: MemberId,
        (inbox, subscription): (Inbox, Subscription),
        place: OwnedSemaphorePermit,
        greeting: String,
        resume: Option<(RoomId, u64)>,
    ) -> Session {
        let mut heartbeat = interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        heartbeat.reset();
        Session {
            realtime: self.clone(),
            member,
            overflow: inbox.overflow(),
            inbox,
            heartbeat,
            greeting: Some(greeting),
            resume,
            // The client has all of this, whether the hub has seen it yet or not.
            resumed_to: resume.map_or(0, |(_, after)| after),
            reason: "client_gone",
            over: false,
            span: Span::current(),
            _subscription: subscription,
            _place: place,
        }
    }

    /// A room's events: those after message `after` first, if it is given, then live ones.
    ///
    /// # Errors
    /// `room_not_found`, `not_a_member`; `too_many_sessions`.
    pub async fn room_events(
        &self,
        caller: Caller,
        room: RoomId,
        after: Option<u64>,
    ) -> Result<Response, AppError> {
        let place = self.place()?;
        let (outbox, inbox) = outbox();
        let subscription = self.hub.subscribe_room(room, caller.member_id, Encoding::Sse, 0, outbox).await?;
        // Checked after the hub knows of it: a removal in between can't be missed.
        let after = self.app.admit_listener(caller.member_id, room, after).await?;
        let resume = after.map(|after| (room, after));
        let greeting = format!("retry: {RETRY_MS}\n: connected\n\n");
        let session = self.session(caller.member_id, (inbox, subscription), place, greeting, resume);
        Ok(respond(session))
    }

    /// A member's own events: `connected`, all unread counts, then every change.
    ///
    /// # Errors
    /// The counts can't be read; `too_many_sessions`.
    pub async fn my_events(&self, caller: Caller) -> Result<Response, AppError> {
        let place = self.place()?;
        let (outbox, inbox) = outbox();
        let subscription = self.hub.subscribe_member(caller.member_id, Encoding::Sse, 0, outbox).await?;
        let member_id = caller.member_id;
        let greeting =
            format!("retry: {RETRY_MS}\nevent: connected\ndata: {{\"member_id\":\"{member_id}\"}}\n\n");
        Ok(respond(self.session(member_id, (inbox, subscription), place, greeting, None)))
    }
}
