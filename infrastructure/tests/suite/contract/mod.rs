//! One suite per port, generic over the adapter: whatever passes it can stand behind the port.

pub mod event_log;
