//! One suite per port, generic over the adapter: whatever passes it can stand behind the port.

pub mod broadcast;
pub mod event_log;
pub mod login_limiter;
pub mod sessions;
pub mod tickets;

/// Makes a test of each case of a suite: `contract!(suite, fixture; case case ...)`.
macro_rules! contract {
    ($suite:ident, $fixture:expr; $($case:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let case = $crate::contract::$suite::$case($fixture);
                tokio::time::timeout($crate::contract::CASE_LIMIT, case).await.expect("the case hangs");
            }
        )*
    };
}
pub(crate) use contract;

/// No case takes this long unless something hangs.
pub const CASE_LIMIT: std::time::Duration = std::time::Duration::from_secs(60);
