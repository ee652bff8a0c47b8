//! Sending a subscription what it missed, page by page, before it goes live.

use super::{connection::Connection, slots::Resume};
use crate::realtime::{Item, RESUME_PAGE, encode_message};
use verbatim_application::{AppError, error::causes, ports::Range, views::MessageView};

impl Connection {
    async fn page(&mut self, resume: Resume) -> Result<Vec<MessageView>, AppError> {
        let app = &self.realtime.app;
        let page = app.history.messages(resume.room, Range::After(resume.after), RESUME_PAGE).await?;
        // Checked after it was read: what was said after a removal is not told, though the push of it is on its way.
        app.admit(self.caller()?.member_id, resume.room).await?;
        Ok(page)
    }

    /// Sends the next page of what a subscription missed.
    pub(super) async fn resume(&mut self, resume: Resume) {
        let page = match self.page(resume).await {
            Ok(page) => page,
            Err(error) => {
                self.slots.resumes.pop_front();
                // Where an ERROR does not end the session (1.0), the subscription at least does: it would have a gap.
                if let Some(slot) = self.slots.get(resume.slot) {
                    let key = slot.key.clone();
                    self.protocol.end_subscription(&key);
                    self.slots.close(resume.slot);
                }
                if let Some(source) = &error.source {
                    let (code, error) = (error.code, causes(source.as_ref()));
                    tracing::error!(
                        request_id = &*self.id,
                        room_id = %resume.room,
                        code,
                        error,
                        "a subscription can't be resumed"
                    );
                }
                return self.refuse(&error, None);
            }
        };
        for message in &page {
            let Some(slot) = self.slots.get(resume.slot) else { break };
            slot.resumed_to = message.seq;
            if let Some(payload) = encode_message(message, &slot.encoding) {
                self.deliver(Item { payload, subscription: resume.slot, seq: 0, last: false });
            }
        }
        let more = page.last().filter(|_| page.len() == RESUME_PAGE && self.slots.get(resume.slot).is_some());
        if let (Some(newest), Some(front)) = (more, self.slots.resumes.front_mut()) {
            front.after = newest.seq;
        } else {
            self.slots.resumes.pop_front();
            if let Some(slot) = self.slots.get(resume.slot) {
                slot.resuming = false;
            }
        }
        // Live messages that came meanwhile. As long as there is more to read, history has them, and they are dropped.
        // Once it is read to its end, those that came after that are sent: they are known by their numbers.
        self.take_items(usize::MAX);
    }
}
