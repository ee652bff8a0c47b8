-- The event log: the tables of sqlite-es 0.5, plus `position`, `recorded_at` and `idempotency_key`.

CREATE TABLE events (
    -- Place in the whole log: 1, 2, 3 ... without gaps, in commit order. It is the rowid, so reading in this order is
    -- reading the table from one end to the other.
    position        INTEGER PRIMARY KEY CHECK (position > 0),
    aggregate_type  TEXT    NOT NULL,
    -- A UUID, hyphenated and in lower case.
    aggregate_id    TEXT    NOT NULL,
    sequence        INTEGER NOT NULL CHECK (sequence > 0),
    event_type      TEXT    NOT NULL,
    event_version   TEXT    NOT NULL,
    -- JSON.
    payload         TEXT    NOT NULL,
    -- JSON.
    metadata        TEXT    NOT NULL,
    -- Microseconds since 1970-01-01 UTC; to read them: datetime(recorded_at / 1e6, 'unixepoch').
    recorded_at     INTEGER NOT NULL,
    idempotency_key TEXT
) STRICT;

-- What makes two writers of one stream notice each other.
CREATE UNIQUE INDEX events_stream ON events (aggregate_type, aggregate_id, sequence);

-- What makes a repeated command the same command, forever.
CREATE UNIQUE INDEX events_idempotency_key ON events (idempotency_key) WHERE idempotency_key IS NOT NULL;

-- Events are facts. Neither a bug nor a hand at the sqlite prompt changes one unnoticed.
CREATE TRIGGER events_are_never_changed BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are never changed');
END;

CREATE TRIGGER events_are_never_deleted BEFORE DELETE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are never deleted');
END;

-- State of aggregates, so that loading one need not read its whole stream. Disposable.
CREATE TABLE snapshots (
    aggregate_type   TEXT    NOT NULL,
    aggregate_id     TEXT    NOT NULL,
    last_sequence    INTEGER NOT NULL CHECK (last_sequence >= 0),
    current_snapshot INTEGER NOT NULL CHECK (current_snapshot >= 0),
    payload          TEXT    NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id, last_sequence)
) STRICT;

-- One counter, raised by the write that follows a failed COMMIT: it overwrites what that left in the WAL file, which a
-- recovery after a crash would otherwise take for committed.
CREATE TABLE commit_seal (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    count INTEGER NOT NULL
) STRICT;
INSERT INTO commit_seal (id, count) VALUES (1, 0);
