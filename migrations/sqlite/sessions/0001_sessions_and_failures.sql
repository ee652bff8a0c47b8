-- Sessions and failed log-ins. All times are microseconds since 1970-01-01 UTC. All tokens are hashed (SHA-256).

-- One row per session, that is, per family of refresh tokens. A refresh token has two halves: the family's, which never
-- changes, and its own. So a token that is not the current one of its family is known for a used one, without a row for
-- each.
CREATE TABLE sessions (
    session_id TEXT    NOT NULL PRIMARY KEY,
    member_id  TEXT    NOT NULL,
    family     BLOB    NOT NULL UNIQUE CHECK (length(family) = 32),
    -- Of the current token's own half.
    current    BLOB    NOT NULL CHECK (length(current) = 32),
    opened_at  INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE INDEX sessions_member ON sessions (member_id, opened_at);
CREATE INDEX sessions_expiry ON sessions (expires_at);

-- Failed log-ins of an account since the last that went well. The account is hashed, whether it exists or not.
CREATE TABLE account_failures (
    account    BLOB    NOT NULL PRIMARY KEY CHECK (length(account) = 32),
    failures   INTEGER NOT NULL,
    wait_until INTEGER NOT NULL,
    forget_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX account_failures_forget ON account_failures (forget_at);

-- Failed log-ins from an address (an IPv6 address counts with its /64) since the window began.
CREATE TABLE address_failures (
    address   TEXT    NOT NULL PRIMARY KEY,
    failures  INTEGER NOT NULL,
    forget_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX address_failures_forget ON address_failures (forget_at);
