//! What one line of the log costs, that of an accepted message, from the call to the file that standard output is:
//! `cargo bench -p verbatim-observability --bench log_line > FILE`

use std::time::Instant;
use verbatim_observability::{Options, Output, init};

const LINES: u64 = 300_000;
const ID: &str = "01977f7e-0f1f-7000-8000-0123456789ab";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _logging = init(Options {
        name: "verbatim",
        node: "node-1",
        filter: Some("info"),
        output: Output::Service,
        file: None,
    })?;
    for round in 0..5 {
        let began = Instant::now();
        for seq in 0..LINES {
            tracing::info!(
                target: "verbatim_api::ws::account",
                request_id = ID,
                trace_id = %ID,
                span_id = %"0123456789abcdef",
                stomp_command = "SEND",
                member_id = %ID,
                room_id = %ID,
                message_id = %ID,
                seq,
                position = seq,
                latency_us = 1_234_u64,
                "accepted"
            );
        }
        let each = began.elapsed().as_nanos() / u128::from(LINES);
        eprintln!("round {round}: {each} ns a line");
    }
    Ok(())
}
