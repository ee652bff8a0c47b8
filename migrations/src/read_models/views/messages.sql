SELECT m.room_id, m.seq, m.message_id, m.sender_id, m.body, m.sent_at, m.edited_at, m.deleted
FROM {messages} AS m
