//! Frames that wait for their `COMMIT`.

use std::collections::HashMap;

use super::action::Send;
use super::subscriptions::AckId;
use super::violation::Violation;

/// Open transactions of one session at once.
pub const MAX_TRANSACTIONS: usize = 16;
/// Frames in all open transactions of a session.
pub const MAX_BUFFERED_FRAMES: usize = 256;
/// Octets in all open transactions of a session.
pub const MAX_BUFFERED_OCTETS: usize = 256 * 1024;
/// What a buffered frame costs besides its texts, roughly: it keeps empty frames from being free.
const FRAME_OVERHEAD: usize = 256;

/// A frame bound to a transaction (1.2, BEGIN: sending and acknowledging).
#[derive(Debug)]
pub(super) enum Step {
    /// A `SEND`.
    Send(Send),
    /// An `ACK` (`true`) or `NACK`.
    Settle(AckId, bool),
}

impl Step {
    fn octets(&self) -> usize {
        let Self::Send(send) = self else { return FRAME_OVERHEAD };
        let option = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let user: usize =
            send.user_headers.iter().map(|(n, v)| n.len() + v.len() + size_of::<[String; 2]>()).sum();
        let texts = option(&send.content_type) + option(&send.idempotency_key) + option(&send.receipt);
        FRAME_OVERHEAD + send.destination.len() + send.body.len() + texts + user
    }
}

/// The open transactions of a session.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    open: HashMap<String, Vec<Step>>,
    frames: usize,
    octets: usize,
}

impl Transactions {
    pub(super) fn begin(&mut self, id: &str) -> Result<(), Violation> {
        if self.open.contains_key(id) {
            return Err(Violation::DuplicateTransaction { id: id.to_owned() });
        }
        if self.open.len() >= MAX_TRANSACTIONS {
            return Err(Violation::TooManyTransactions { max: MAX_TRANSACTIONS });
        }
        self.open.insert(id.to_owned(), Vec::new());
        Ok(())
    }

    pub(super) fn add(&mut self, id: &str, step: Step) -> Result<(), Violation> {
        let Some(steps) = self.open.get_mut(id) else {
            return Err(Violation::UnknownTransaction { id: id.to_owned() });
        };
        if self.frames >= MAX_BUFFERED_FRAMES {
            return Err(Violation::TooManyBufferedFrames { max: MAX_BUFFERED_FRAMES });
        }
        let octets = self.octets + step.octets();
        if octets > MAX_BUFFERED_OCTETS {
            return Err(Violation::TooManyBufferedOctets { max: MAX_BUFFERED_OCTETS });
        }
        self.frames += 1;
        self.octets = octets;
        steps.push(step);
        Ok(())
    }

    /// Ends a transaction and hands out its frames in the order they came.
    pub(super) fn end(&mut self, id: &str) -> Result<Vec<Step>, Violation> {
        let steps =
            self.open.remove(id).ok_or_else(|| Violation::UnknownTransaction { id: id.to_owned() })?;
        self.frames -= steps.len();
        self.octets -= steps.iter().map(Step::octets).sum::<usize>();
        Ok(steps)
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn buffered_octets(&self) -> usize {
        self.octets
    }
}
