-- Sessions, failed log-ins and tickets, shared by all nodes. All times are those of the nodes. All tokens are hashed
-- (SHA-256).

-- One row per session, that is, per family of refresh tokens. A refresh token has two halves: the family's, which never
-- changes, and its own. So a token that is not the current one of its family is known for a used one, without a row for
-- each.
CREATE TABLE sessions (
    session_id uuid        NOT NULL PRIMARY KEY,
    member_id  uuid        NOT NULL,
    family     bytea       NOT NULL UNIQUE CHECK (length(family) = 32),
    -- Of the current token's own half.
    current    bytea       NOT NULL CHECK (length(current) = 32),
    opened_at  timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);

CREATE INDEX sessions_member ON sessions (member_id, opened_at);
CREATE INDEX sessions_expiry ON sessions (expires_at);

-- Failed log-ins of an account since the last that went well. The account is hashed, whether it exists or not.
CREATE TABLE account_failures (
    account    bytea       NOT NULL PRIMARY KEY CHECK (length(account) = 32),
    failures   bigint      NOT NULL,
    wait_until timestamptz NOT NULL,
    forget_at  timestamptz NOT NULL
);

CREATE INDEX account_failures_forget ON account_failures (forget_at);

-- Failed log-ins from an address (an IPv6 address counts with its /64) since the window began.
CREATE TABLE address_failures (
    address   text        COLLATE "C" NOT NULL PRIMARY KEY,
    failures  bigint      NOT NULL,
    forget_at timestamptz NOT NULL
);

CREATE INDEX address_failures_forget ON address_failures (forget_at);

-- Tickets that can be used, and used ones until they would have ended: they count until then. A ticket lives half a
-- minute, so one that a crash of the server forgets is asked for again, and the table needs no WAL.
CREATE UNLOGGED TABLE tickets (
    ticket         bytea       NOT NULL PRIMARY KEY CHECK (length(ticket) = 32),
    member_id      uuid        NOT NULL,
    role           text        NOT NULL,
    session_id     uuid        NOT NULL,
    claims_expire  timestamptz NOT NULL,
    ends_at        timestamptz NOT NULL,
    used           boolean     NOT NULL DEFAULT false
);

CREATE INDEX tickets_member ON tickets (member_id, ends_at);
CREATE INDEX tickets_end ON tickets (ends_at);
