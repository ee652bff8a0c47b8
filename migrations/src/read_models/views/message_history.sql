SELECT m.room_id, m.seq, m.message_id, m.sender_id, COALESCE(s.display_name, '') AS sender_name, m.body, m.sent_at,
       m.edited_at, m.deleted
FROM {messages} AS m
LEFT JOIN {message_senders} AS s ON s.member_id = m.sender_id
