-- The event log: the tables of postgres-es 0.5, plus `position`, `recorded_at` and `idempotency_key`.

CREATE TABLE events (
    -- Place in the whole log: 1, 2, 3 ... without gaps, in commit order.
    position        bigint      NOT NULL CHECK (position > 0),
    -- Names and ids compare by their bytes (collation "C"): a new libc that sorts otherwise would break the unique indexes.
    aggregate_type  text        COLLATE "C" NOT NULL,
    -- A UUID, hyphenated and in lower case.
    aggregate_id    text        COLLATE "C" NOT NULL,
    sequence        bigint      NOT NULL CHECK (sequence > 0),
    event_type      text        NOT NULL,
    event_version   text        NOT NULL,
    -- json keeps every byte; jsonb would sort the keys, and refuse U+0000.
    payload         json        NOT NULL,
    metadata        json        NOT NULL,
    recorded_at     timestamptz NOT NULL,
    idempotency_key text        COLLATE "C",
    CONSTRAINT events_position PRIMARY KEY (position)
);

-- What makes two writers of one stream notice each other.
CREATE UNIQUE INDEX events_stream ON events (aggregate_type, aggregate_id, sequence);

-- What makes a repeated command the same command, forever.
CREATE UNIQUE INDEX events_idempotency_key ON events (idempotency_key) WHERE idempotency_key IS NOT NULL;

-- Events are facts. Neither a bug nor a hand at the psql prompt changes one unnoticed.
CREATE FUNCTION refuse_to_change_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events are never changed or deleted';
END
$$;

CREATE TRIGGER events_are_forever BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_change_events();

-- Position of the last event. Whoever appends raises it in the statement that inserts the events, and its row lock lasts
-- until the commit: so positions have no gaps and rise in the order of commits. A table of its own pages, nearly empty, so
-- that old versions of the row are pruned where they are and need no vacuum.
CREATE TABLE event_log_head (
    id       smallint NOT NULL PRIMARY KEY CHECK (id = 1),
    position bigint   NOT NULL CHECK (position >= 0)
) WITH (fillfactor = 10);
INSERT INTO event_log_head (id, position) VALUES (1, 0);

-- State of aggregates, so that loading one need not read its whole stream: one row each, as postgres-es expects.
-- Disposable.
CREATE TABLE snapshots (
    aggregate_type   text   COLLATE "C" NOT NULL,
    aggregate_id     text   COLLATE "C" NOT NULL,
    last_sequence    bigint NOT NULL CHECK (last_sequence >= 0),
    current_snapshot bigint NOT NULL CHECK (current_snapshot >= 0),
    payload          json   NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id)
);
