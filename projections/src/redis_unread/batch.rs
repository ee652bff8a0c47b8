//! What a batch changes, as the arguments of the script that applies it.

use crate::projections::UnreadChanges;
use redis::Cmd;
use uuid::Uuid;

/// Adds heads, deleted messages and cursors, the latter grouped by room and member; see `lua/apply.lua`.
pub(super) fn write_changes(command: &mut Cmd, changes: &UnreadChanges) {
    command.arg(changes.heads.len());
    for (room, seq) in &changes.heads {
        write_id(command, room.as_uuid()).arg(*seq);
    }

    let deleted: Vec<_> = changes.deleted.iter().copied().collect();
    let rooms = || deleted.chunk_by(|(one, _), (other, _)| one == other);
    command.arg(rooms().count());
    for of_room in rooms() {
        if let Some((room, _)) = of_room.first() {
            write_id(command, room.as_uuid()).arg(of_room.len());
        }
        for (_, seq) in of_room {
            command.arg(*seq);
        }
    }

    let cursors: Vec<_> = changes.cursors.iter().collect();
    let members = || cursors.chunk_by(|((one, _), _), ((other, _), _)| one == other);
    command.arg(members().count());
    for of_member in members() {
        if let Some(((member, _), _)) = of_member.first() {
            write_id(command, member.as_uuid()).arg(of_member.len());
        }
        for ((_, room), cursor) in of_member {
            let moved = match cursor.joined {
                Some(true) => "+",
                Some(false) => "-",
                None => "",
            };
            write_id(command, room.as_uuid()).arg(cursor.read_seq).arg(moved);
        }
    }
}

fn write_id(command: &mut Cmd, id: Uuid) -> &mut Cmd {
    command.arg(id.as_bytes().as_slice())
}
