//! The read models there are.

use super::table::{Column, Index, Kind, ReadModel, Table, View};

const fn column(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, nullable: false }
}

const fn optional(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, nullable: true }
}

/// All of them.
pub const MODELS: [&ReadModel; 4] = [&ROOMS, &MESSAGE_HISTORY, &MEMBERS, &UNREAD];

/// Rooms and who is in them.
pub const ROOMS: ReadModel = ReadModel {
    name: "rooms",
    schema_version: 1,
    tables: &[
        Table {
            name: "rooms",
            columns: &[
                column("room_id", Kind::Id),
                column("kind", Kind::Word),
                optional("name", Kind::Line(100)),
                column("created_at", Kind::Moment),
                column("member_count", Kind::Number),
                column("last_seq", Kind::Number),
                column("last_activity_at", Kind::Moment),
                column("closed", Kind::Flag),
            ],
            primary_key: &["room_id"],
            // For discovery: open group rooms, newest first.
            indexes: &[Index { name: "discover", columns: &["kind", "closed", "created_at", "room_id"] }],
        },
        Table {
            name: "room_members",
            columns: &[
                column("room_id", Kind::Id),
                column("member_id", Kind::Id),
                column("role", Kind::Word),
                column("joined_at", Kind::Moment),
                // Position of the joining in the log: unlike the time, it tells who came first.
                column("joined_position", Kind::Number),
            ],
            primary_key: &["room_id", "member_id"],
            indexes: &[
                Index { name: "by_member", columns: &["member_id"] },
                Index { name: "by_arrival", columns: &["room_id", "joined_position", "member_id"] },
            ],
        },
    ],
    views: &[
        View { name: "rooms", select: include_str!("views/rooms.sql") },
        View { name: "room_members", select: include_str!("views/room_members.sql") },
    ],
};

/// Messages, with the names of those who sent them.
pub const MESSAGE_HISTORY: ReadModel = ReadModel {
    name: "message_history",
    schema_version: 1,
    tables: &[
        Table {
            name: "messages",
            columns: &[
                column("room_id", Kind::Id),
                column("seq", Kind::Number),
                column("message_id", Kind::Id),
                column("sender_id", Kind::Id),
                column("body", Kind::Body),
                column("sent_at", Kind::Moment),
                optional("edited_at", Kind::Moment),
                column("deleted", Kind::Flag),
            ],
            primary_key: &["room_id", "seq"],
            indexes: &[],
        },
        Table {
            name: "message_senders",
            columns: &[column("member_id", Kind::Id), column("display_name", Kind::Line(64))],
            primary_key: &["member_id"],
            indexes: &[],
        },
    ],
    views: &[
        View { name: "messages", select: include_str!("views/messages.sql") },
        View { name: "message_senders", select: include_str!("views/message_senders.sql") },
        View { name: "message_history", select: include_str!("views/message_history.sql") },
    ],
};

/// The directory of members.
pub const MEMBERS: ReadModel = ReadModel {
    name: "members",
    schema_version: 1,
    tables: &[Table {
        name: "members",
        columns: &[
            column("member_id", Kind::Id),
            column("display_name", Kind::Line(64)),
            // The name in lower case, which may take up to three characters for one.
            column("search_key", Kind::Line(192)),
            column("role", Kind::Word),
            column("registered_at", Kind::Moment),
        ],
        primary_key: &["member_id"],
        indexes: &[Index { name: "by_name", columns: &["search_key", "member_id"] }],
    }],
    views: &[View { name: "members", select: include_str!("views/members.sql") }],
};

/// What it takes to count unread messages.
pub const UNREAD: ReadModel = ReadModel {
    name: "unread",
    schema_version: 1,
    tables: &[
        Table {
            name: "unread_heads",
            columns: &[column("room_id", Kind::Id), column("last_seq", Kind::Number)],
            primary_key: &["room_id"],
            indexes: &[],
        },
        Table {
            name: "unread_deleted",
            columns: &[column("room_id", Kind::Id), column("seq", Kind::Number)],
            primary_key: &["room_id", "seq"],
            indexes: &[],
        },
        Table {
            name: "unread_cursors",
            columns: &[
                column("member_id", Kind::Id),
                column("room_id", Kind::Id),
                column("read_seq", Kind::Number),
                column("joined", Kind::Flag),
            ],
            primary_key: &["member_id", "room_id"],
            indexes: &[],
        },
    ],
    views: &[View { name: "unread_counts", select: include_str!("views/unread_counts.sql") }],
};
