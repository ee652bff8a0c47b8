//! Sessions, log-in limits and tickets keep their contracts, and what a file promises beyond them.

use std::{path::Path, time::Duration};
use tempfile::TempDir;
use verbatim_infrastructure::{
    Problem, SqliteEventLog, SqliteLogOptions, SqliteSessions, sessions::REFRESH_LIFETIME,
};
use verbatim_migrations::{event_log, sessions::SQLITE};

fn open(folder: &Path) -> SqliteSessions {
    SqliteSessions::open(folder.join("sessions.db"), SQLITE).unwrap()
}

mod sessions {
    use super::*;
    use crate::contract::sessions::{Fixture, session_store_contract};
    use std::sync::Arc;

    fn fixture() -> Fixture {
        let folder = TempDir::new().unwrap();
        (Arc::new(open(folder.path()).store(REFRESH_LIFETIME)), Box::new(folder))
    }

    session_store_contract!(fixture());
}

mod login_limiter {
    use super::*;
    use crate::contract::login_limiter::{Fixture, login_limiter_contract};
    use std::sync::Arc;

    fn fixture() -> Fixture {
        let folder = TempDir::new().unwrap();
        (Arc::new(open(folder.path()).limiter()), Box::new(folder))
    }

    login_limiter_contract!(fixture());
}

mod tickets {
    use crate::contract::tickets::ticket_store_contract;
    use std::sync::Arc;
    use verbatim_infrastructure::MemoryTickets;

    ticket_store_contract!((Arc::new(MemoryTickets::new()), Box::new(())));
}

mod file {
    use super::*;
    use chrono::DateTime;
    use verbatim_application::ports::{LoginLimiter, RefreshOutcome, SessionStore};
    use verbatim_domain::MemberId;

    #[tokio::test]
    async fn a_restart_forgets_neither_sessions_nor_failures() {
        let folder = TempDir::new().unwrap();
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let member = MemberId::from_uuid(uuid::Uuid::from_u128(1));
        let token = {
            let file = open(folder.path());
            for _ in 0..5 {
                file.limiter().attempt("a", None, now).await.unwrap().unwrap();
            }
            file.store(REFRESH_LIFETIME).open(member, now).await.unwrap().1
        };
        let file = open(folder.path());
        let wait = file.limiter().attempt("a", None, now).await.unwrap();
        assert_eq!(wait, Err(Duration::from_secs(1)));
        let outcome = file.store(REFRESH_LIFETIME).rotate(&token, now).await.unwrap();
        assert!(matches!(outcome, RefreshOutcome::Rotated { .. }), "{outcome:?}");
    }

    #[tokio::test]
    async fn neither_tokens_nor_accounts_are_in_the_file() {
        let folder = TempDir::new().unwrap();
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let file = open(folder.path());
        let member = MemberId::from_uuid(uuid::Uuid::from_u128(1));
        let (_, token) = file.store(REFRESH_LIFETIME).open(member, now).await.unwrap();
        file.limiter().attempt("somebody@example.org", None, now).await.unwrap().unwrap();
        let mut bytes = Vec::new();
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            bytes.extend(std::fs::read(entry.unwrap().path()).unwrap());
        }
        let contains = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(contains(&member.to_string()), "this test looks in the right place");
        let halves = token.trim_start_matches("vrt_").split_at(32);
        for secret in [&token, halves.0, halves.1, "somebody@example.org"] {
            assert!(!contains(secret), "{secret}");
        }
    }

    #[tokio::test]
    async fn an_event_log_is_no_session_file() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("sessions.db");
        drop(SqliteEventLog::open(&path, event_log::SQLITE, SqliteLogOptions::default()).unwrap());
        let error = SqliteSessions::open(&path, SQLITE).map(|_| ()).unwrap_err();
        assert!(matches!(error.problem, Problem::Foreign(_)), "{error}");
    }
}
