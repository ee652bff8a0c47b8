SELECT m.room_id, m.member_id, m.role, m.joined_at, m.joined_position
FROM {room_members} AS m
