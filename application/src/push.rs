//! What a projection tells the hubs after its commit.

use crate::{
    codec::{About, Envelope},
    trace::{EVENT_LINES_MAX, TraceContext},
    views::{MessageView, UnreadView},
};
use serde::{Deserialize, Serialize};
use verbatim_domain::{MemberId, RoomId, Timestamp};

/// One projected change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Push {
    /// Position of the event in the log: hubs drop what they have seen. 0 for what is not from the log.
    pub position: u64,
    /// The room it belongs to.
    pub room_id: RoomId,
    /// What changed.
    pub change: Change,
    /// The step of a trace that led to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceContext>,
    /// The request or session that it came with; left out where no line of the log would name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
}

impl Push {
    /// A change of which it is not known what led to it.
    #[must_use]
    pub fn new(position: u64, room_id: RoomId, change: Change) -> Self {
        Self { position, room_id, change, trace: None, correlation_id: None }
    }

    /// The ids that it names.
    #[must_use]
    pub fn about(&self) -> About {
        let message = match &self.change {
            Change::Sent(view) | Change::Edited(view) | Change::Deleted(view) => Some(view),
            _ => None,
        };
        About {
            room_id: Some(self.room_id),
            message_id: message.map(|view| view.message_id),
            seq: message.map(|view| view.seq),
        }
    }
}

/// Says of each change what led to it, if its event says so. Both are in log order.
pub fn trace_back(pushes: &mut [Push], events: &[Envelope]) {
    let each = events.len() <= EVENT_LINES_MAX;
    let mut events = events.iter().peekable();
    let mut trace = (0, None);
    for push in pushes {
        while let Some(event) = events.next_if(|event| event.position <= push.position) {
            trace = (event.position, Some(event));
        }
        if let (position, Some(event)) = trace
            && position == push.position
        {
            push.trace = event.trace();
            if each || push.trace.is_some_and(TraceContext::is_sampled) {
                push.correlation_id = event.metadata().correlation_id;
            }
        }
    }
}

/// What changed in a room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Change {
    /// A new message.
    Sent(MessageView),
    /// A message says something else.
    Edited(MessageView),
    /// A message was taken back.
    Deleted(MessageView),
    /// Somebody came in.
    Joined(Membership),
    /// Somebody went; their subscriptions to the room end now.
    Left(Membership),
    /// Somebody is typing. Ephemeral: not from the log, so its position is 0, and it is never repeated.
    Typing {
        /// Who.
        member_id: MemberId,
        /// What the member is called.
        display_name: String,
    },
    /// The room is shut.
    Closed {
        /// Number of its last message.
        last_seq: u64,
    },
    /// A member has read up to here.
    Read {
        /// Who.
        member_id: MemberId,
        /// What is left unread.
        unread: UnreadView,
    },
}

/// Somebody coming or going.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Membership {
    /// Who.
    pub member_id: MemberId,
    /// What the member is called now.
    pub display_name: String,
    /// Who brought them in or put them out, unless it was themselves.
    pub by: Option<MemberId>,
    /// Number of the room's last message then.
    pub last_seq: u64,
    /// When.
    #[serde(with = "crate::rfc3339")]
    pub at: Timestamp,
}
