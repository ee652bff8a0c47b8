SELECT c.member_id, c.room_id, h.last_seq, c.read_seq,
       CASE WHEN h.last_seq > c.read_seq
            THEN h.last_seq - c.read_seq
                 - (SELECT COUNT(*) FROM {unread_deleted} AS d WHERE d.room_id = c.room_id AND d.seq > c.read_seq)
            ELSE 0 END AS unread
FROM {unread_cursors} AS c
JOIN {unread_heads} AS h ON h.room_id = c.room_id
WHERE c.joined = TRUE
