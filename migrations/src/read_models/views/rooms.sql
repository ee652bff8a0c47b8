SELECT r.room_id, r.kind, r.name, r.created_at, r.member_count, r.last_seq, r.last_activity_at, r.closed
FROM {rooms} AS r
