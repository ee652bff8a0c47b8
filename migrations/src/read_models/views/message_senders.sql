SELECT s.member_id, s.display_name
FROM {message_senders} AS s
