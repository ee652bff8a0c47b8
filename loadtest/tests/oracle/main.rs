//! The oracle against a chat server that keeps its promises, and against the same one breaking one at a time.
#![expect(clippy::unwrap_used, reason = "tests, and a test double that may die of what it does not expect")]

mod fake;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use verbatim_loadtest::oracle::{Config, Report, Violation, run};

/// Not a test by itself: the oracle starts this very binary again, with this test only, as the server to torment.
/// The kill then hits a process of its own, as it would with `verbatim`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fake_server() {
    if let (Ok(listen), Some(data)) = (std::env::var("FAKE_LISTEN"), std::env::var_os("FAKE_DATA")) {
        fake::serve(&listen, Path::new(&data)).await;
    }
}

/// A script with the command line of `verbatim` that runs [`fake_server`] with a fault.
fn wrapper(folder: &Path, fault: &str) -> PathBuf {
    let path = folder.join("verbatim");
    let test = std::env::current_exe().unwrap();
    let script = format!(
        r#"#!/bin/sh
case "$1 $2" in
"projections status") echo '[{{"name": "all"}}]'; exit 0 ;;
"projections verify") test {fault} != verify; exit ;;
esac
export FAKE_FAULT={fault} FAKE_LISTEN="$3" FAKE_DATA="$5"
exec '{}' --exact fake_server --nocapture
"#,
        test.display()
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    path
}

async fn torment(fault: &str, kill: bool) -> Report {
    let folder = tempfile::tempdir().unwrap();
    let binary = wrapper(folder.path(), fault);
    let data = Some(folder.path().join("run"));
    let arrival_limit = Duration::from_secs(5);
    let config = Config { folder: data, rounds: 2, kill, sends: 20, arrival_limit, ..Config::new(binary) };
    run(config).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_keeps_its_promises_passes() {
    let report = torment("none", true).await;
    assert_eq!(report.violations, []);
    let totals = report.totals();
    assert!(totals.kills + totals.stops >= 2, "{totals:?}");
    assert!(totals.acknowledged > 100 && totals.deliveries > 300, "{totals:?}");
}

async fn notices(fault: &str, kill: bool, is: fn(&Violation) -> bool) {
    let report = torment(fault, kill).await;
    assert!(report.violations.iter().any(is), "{fault}: {:?}", report.violations);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_message_is_noticed() {
    notices("lose", true, |v| matches!(v, Violation::Lost { .. } | Violation::Replaced { .. })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_doubled_message_is_noticed() {
    notices("double", true, |v| matches!(v, Violation::Doubled { .. } | Violation::AcksDiffer { .. })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_push_is_noticed() {
    notices("repeat-push", false, |v| matches!(v, Violation::DeliveredAgain { .. })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_skipped_push_is_noticed() {
    notices("skip-push", false, |v| matches!(v, Violation::NotDelivered { .. })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_miscounted_room_is_noticed() {
    notices("miscount", false, |v| matches!(v, Violation::Miscounted { .. })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgotten_read_cursor_is_noticed() {
    notices("forget-read", false, |v| matches!(v, Violation::Cursor { .. })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_difference_that_the_server_itself_finds_is_noticed() {
    notices("verify", false, |v| matches!(v, Violation::Incident(_))).await;
}
