SELECT m.member_id, m.display_name, m.search_key, m.role, m.registered_at
FROM {members} AS m
