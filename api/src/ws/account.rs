//! What becomes of a frame: a line in the log, a place in the metrics.

use super::SessionObserver;
use crate::{
    telemetry::{
        micros,
        spans::{self, Ended},
    },
    trace::Step,
};
use std::{sync::Arc, time::Instant};
use verbatim_application::{AppError, Done, ErrorClass, TraceContext, commands::Sent, error::causes};
use verbatim_domain::{MemberId, MessageId, RoomId};
use verbatim_observability::{SpanKind, tell_later};

/// A frame whose outcome is not known yet. Whatever happens, it is told once: dropped untold, the client has gone.
pub(super) struct Account {
    /// The frame's command; none if what came is no frame.
    command: Option<&'static str>,
    since: Instant,
    step: Step,
    session: Arc<str>,
    pub(super) member: Option<MemberId>,
    pub(super) room: Option<RoomId>,
    observer: Arc<dyn SessionObserver>,
    told: bool,
}

/// Writes a line about a frame. `error` goes without saying where it is `None`, as the others do.
macro_rules! tell {
    ($account:expr, $level:ident, { $($fields:tt)* }, $text:literal) => {
        tracing::$level!(
            request_id = &*$account.session,
            trace_id = display($account.step.context.trace_id()),
            span_id = display($account.step.context.span_id()),
            stomp_command = $account.command,
            member_id = $account.member.map(display),
            room_id = $account.room.map(display),
            $($fields)*
            $text
        )
    };
}

impl Account {
    pub(super) fn new(
        command: Option<&'static str>,
        step: Step,
        session: Arc<str>,
        member: Option<MemberId>,
        observer: Arc<dyn SessionObserver>,
    ) -> Self {
        Self { command, since: Instant::now(), step, session, member, room: None, observer, told: false }
    }

    /// The step of the trace that it is.
    pub(super) fn trace(&self) -> TraceContext {
        self.step.context
    }

    fn count(&mut self, outcome: &'static str) -> u64 {
        self.told = true;
        let latency = self.since.elapsed();
        let command = self.command.unwrap_or("invalid");
        self.observer.frame(command, outcome, latency);
        let ended = Ended { failed: outcome == "failed", ..Ended::now(latency) };
        spans::record(self.step, SpanKind::Server, ended, || {
            let mut attributes = vec![
                ("messaging.system", "stomp".into()),
                ("messaging.operation.name", command.into()),
                ("verbatim.request_id", self.session.to_string().into()),
            ];
            attributes.extend(self.room.map(|room| ("verbatim.room_id", room.to_string().into())));
            (command, attributes)
        });
        micros(latency)
    }

    /// What was asked for is done.
    pub(super) fn done(mut self) {
        let latency_us = self.count("ok");
        tell!(self, info, { latency_us, }, "answered");
    }

    /// It is done, and of a kind that comes in numbers and changes nothing.
    pub(super) fn done_quietly(mut self) {
        let latency_us = self.count("ok");
        tell!(self, debug, { latency_us, }, "answered");
    }

    /// A message is durable.
    pub(super) fn accepted(mut self, done: &Done<Sent>) {
        let latency_us = self.count("ok");
        let Sent { message_id, room_id, seq, .. } = done.value;
        let position = done.position;
        tell_later(move || self.tell_message((message_id, room_id, seq), position, latency_us));
    }

    /// Messages are durable that were sent as one.
    pub(super) fn all_accepted(mut self, all: &[Done<Sent>]) {
        let latency_us = self.count("ok");
        for done in all {
            let Sent { message_id, room_id, seq, .. } = done.value;
            self.tell_message((message_id, room_id, seq), done.position, latency_us);
        }
        self.room = None;
        tell!(self, info, { latency_us, events = all.len(), }, "answered");
    }

    fn tell_message(&mut self, message: (MessageId, RoomId, u64), position: u64, latency_us: u64) {
        let (message_id, room_id, seq) = message;
        self.room = Some(room_id);
        tell!(self, info, { message_id = %message_id, seq, position, latency_us, }, "accepted");
    }

    /// It was refused, or something of ours has failed.
    pub(super) fn failed(mut self, error: &AppError) {
        let code = error.code;
        match (error.class, &error.source) {
            (ErrorClass::Internal | ErrorClass::Unavailable, Some(source)) => {
                let latency_us = self.count("failed");
                tell!(self, error, { code, error = causes(source.as_ref()), latency_us, }, "failed");
            }
            (ErrorClass::Internal, None) => {
                let latency_us = self.count("failed");
                tell!(self, error, { code, latency_us, }, "failed");
            }
            // Nothing of ours has failed, but a client was sent away all the same: full, or stopping.
            (ErrorClass::Overloaded | ErrorClass::Unavailable, _) => {
                let latency_us = self.count("rejected");
                tell!(self, warn, { code, latency_us, }, "refused");
            }
            _ => {
                let latency_us = self.count("rejected");
                tell!(self, info, { code, latency_us, }, "refused");
            }
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        if !self.told {
            let latency_us = self.count("gone");
            tell!(self, info, { code = "client_gone", latency_us, }, "not answered");
        }
    }
}
