//! The destinations of INTERFACE.md.

use verbatim_application::{AppError, ErrorClass};
use verbatim_domain::RoomId;

/// What one can subscribe to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// `/topic/{room_id}`
    Room(RoomId),
    /// `/user/queue/unread`
    Unread,
}

/// What one can send to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// `/publish/{room_id}`
    Message(RoomId),
    /// `/publish/{room_id}/read`
    Read(RoomId),
    /// `/publish/{room_id}/typing`
    Typing(RoomId),
}

fn unknown() -> AppError {
    AppError::new(ErrorClass::NotFound, "unknown_destination", "there is no such destination")
}

fn room(text: &str) -> Result<RoomId, AppError> {
    text.parse().map_err(|_| unknown())
}

impl Source {
    pub(super) fn parse(destination: &str) -> Result<Self, AppError> {
        match destination.strip_prefix("/topic/") {
            Some(id) => room(id).map(Self::Room),
            None if destination == "/user/queue/unread" => Ok(Self::Unread),
            None => Err(unknown()),
        }
    }
}

impl Target {
    pub(super) fn room(self) -> RoomId {
        match self {
            Self::Message(room) | Self::Read(room) | Self::Typing(room) => room,
        }
    }

    pub(super) fn parse(destination: &str) -> Result<Self, AppError> {
        let rest = destination.strip_prefix("/publish/").ok_or_else(unknown)?;
        match rest.split_once('/') {
            None => room(rest).map(Self::Message),
            Some((id, "read")) => room(id).map(Self::Read),
            Some((id, "typing")) => room(id).map(Self::Typing),
            Some(_) => Err(unknown()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_destination_is_read_back() {
        let id = "018f0000-0000-7000-8000-000000000001";
        let room: RoomId = id.parse().unwrap();
        assert_eq!(Source::parse(&format!("/topic/{id}")).unwrap(), Source::Room(room));
        assert_eq!(Source::parse("/user/queue/unread").unwrap(), Source::Unread);
        assert_eq!(Target::parse(&format!("/publish/{id}")).unwrap(), Target::Message(room));
        assert_eq!(Target::parse(&format!("/publish/{id}/read")).unwrap(), Target::Read(room));
        assert_eq!(Target::parse(&format!("/publish/{id}/typing")).unwrap(), Target::Typing(room));
    }

    #[test]
    fn anything_else_is_unknown() {
        for text in ["", "/topic/", "/topic/1", "/queue/x", "/user/queue/unread/", "topic/018f"] {
            assert_eq!(Source::parse(text).unwrap_err().code, "unknown_destination", "{text}");
        }
        for text in ["", "/publish/", "/publish/x/read", "/publish/018f0000-0000-7000-8000-000000000001/x"] {
            assert_eq!(Target::parse(text).unwrap_err().code, "unknown_destination", "{text}");
        }
    }
}
