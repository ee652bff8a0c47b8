//! How the views of the application are documented. They are written as they are: REST, STOMP and SSE show the same.

use crate::http::schema::describe;
use serde::Serialize;
use verbatim_application::{
    ports::Page,
    views::{AccountView, MemberView, MessageView, MyRoomView, RoomMemberView, RoomView, UnreadView},
};
use verbatim_domain::{
    MemberId, MessageId, RoomId, Timestamp,
    member::MemberRole,
    room::{RoomKind, RoomRole},
};

describe! {
    MessageView as "Message", "A message." {
        message_id: MessageId = "Its id.",
        room_id: RoomId = "Its room.",
        seq: u64 = "Its number in the room: 1, 2, 3 … without gaps.",
        sender_id: MemberId = "Who sent it.",
        sender_name: String = "What the sender is called now.",
        body: String = "What it says; empty once deleted.",
        sent_at: Timestamp = "When it was sent.",
        edited_at: Option<Timestamp> = "When it was last edited, if ever.",
        deleted: bool = "Whether it was taken back.",
    }
}

describe! {
    RoomView as "Room", "A room." {
        room_id: RoomId = "Its id.",
        kind: RoomKind = "Anybody may find and join a group room; a direct room has the same two members for ever.",
        name: Option<String> = "Its name; null for direct rooms, which clients show under the other member's name.",
        member_count: u64 = "How many are in it.",
        last_seq: u64 = "Number of its last message, 0 for none.",
        created_at: Timestamp = "When it was opened.",
    }
}

describe! {
    RoomMemberView as "RoomMember", "Somebody in a room." {
        member_id: MemberId = "Who.",
        display_name: String = "What the member is called now.",
        role: RoomRole = "Owners may put others out.",
        joined_at: Timestamp = "Since when.",
    }
}

describe! {
    MemberView as "Member", "An account as others see it." {
        member_id: MemberId = "Who.",
        display_name: String = "What the member is called.",
    }
}

describe! {
    AccountView as "Account", "An account as its owner sees it." {
        member_id: MemberId = "Who.",
        email: String = "The address as typed at registration.",
        display_name: String = "What others see.",
        role: MemberRole = "Admins operate the service.",
    }
}

describe! {
    UnreadView as "Unread", "How much is unread in one room." {
        room_id: RoomId = "Which room.",
        unread: u64 = "Messages not read and not deleted.",
        last_seq: u64 = "Number of the room's last message.",
        read_seq: u64 = "Number of the last message read.",
    }
}

describe! {
    MyRoomView as "MyRoom", "A room as one of its members sees it." {
        room: RoomView = "The room.",
        unread: u64 = "Messages not read and not deleted.",
        read_seq: u64 = "Number of the last message read.",
        last_message: Option<MessageView> = "The newest message, deleted or not.",
    }
}

macro_rules! page {
    ($($name:ident as $title:literal of $item:ty;)+) => {
        $(
            #[doc = $title]
            #[derive(Debug, Serialize)]
            pub(super) struct $name {
                items: Vec<$item>,
                next: Option<String>,
            }

            describe! {
                $name as $title, "One page of a list." {
                    items: Vec<$item> = "What is on it.",
                    next: Option<String> = "The cursor of the next page; null on the last.",
                }
            }

            impl From<Page<$item>> for $name {
                fn from(page: Page<$item>) -> Self {
                    Self { items: page.items, next: page.next }
                }
            }
        )+
    };
}

page! {
    RoomPage as "RoomPage" of RoomView;
    RoomMemberPage as "RoomMemberPage" of RoomMemberView;
    MemberPage as "MemberPage" of MemberView;
    MyRoomPage as "MyRoomPage" of MyRoomView;
}
