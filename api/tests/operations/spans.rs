//! Spans, as a collector gets them by OTLP over HTTP.

use crate::{
    common::{Handshake, Stomp, within},
    kit::{Room, User},
    logged::{Logged, having, only, parsed},
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    trace::v1::{Span, span::SpanKind},
};
use poem::{EndpointExt, Response, Route, Server, endpoint::make, http::StatusCode, listener::TcpAcceptor};
use prost::Message;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};
use verbatim_api::stomp::Command;

const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A collector that keeps what it gets.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

impl Collector {
    /// Starts it; gives its base URL.
    async fn start(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let acceptor = TcpAcceptor::from_tokio(listener).unwrap();
        let all = self.0.clone();
        let take = make(move |request| {
            let all = all.clone();
            async move {
                let body = request.into_body().into_bytes().await?;
                all.lock().unwrap().push(ExportTraceServiceRequest::decode(body).unwrap());
                Ok::<_, poem::Error>(Response::builder().status(StatusCode::OK).finish())
            }
        });
        let app: Route = Route::new().at("/v1/traces", take.map_to_response());
        tokio::spawn(Server::new_with_acceptor(acceptor).run(app));
        url
    }

    /// All spans of a trace, or of all, by their names.
    fn spans(&self, trace: Option<&str>) -> BTreeMap<String, Span> {
        let requests = self.0.lock().unwrap();
        let spans = requests.iter().flat_map(|request| &request.resource_spans);
        let spans = spans.flat_map(|spans| &spans.scope_spans).flat_map(|spans| &spans.spans);
        let spans = spans.filter(|span| trace.is_none_or(|trace| hex(&span.trace_id) == trace));
        spans.map(|span| (span.name.clone(), span.clone())).collect()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn listener(server: &Logged, user: &User, room: &Room) -> Stomp {
    let mut stomp = Stomp::open(&server.app.server, &Handshake::default()).await;
    stomp.connect("1.2", &user.token).await;
    stomp.subscribe("s", &room.id, None).await;
    stomp
}

#[tokio::test]
async fn one_trace_leads_from_the_request_over_command_and_projection_to_the_push() {
    let collector = Collector::default();
    let url = collector.start().await;
    let settings = [("VERBATIM_OTLP_ENDPOINT", url.as_str()), ("VERBATIM_TRACE_SAMPLE", "0")];
    let server = Logged::start(&settings).await;
    let ada = server.api.user("Ada").await;
    let room = ada.room("Engines").await;
    let mut stomp = listener(&server, &ada, &room).await;
    let sent = ada.say(&room, "hello").header("traceparent", SAMPLED).ok(201).await;
    stomp.message("message").await;
    let own = "00-aaaabbbbccccdddd1111222233334444-1234567890abcdef-01";
    let destination = format!("/publish/{}", room.id);
    let headers = [("destination", destination.as_str()), ("traceparent", own)];
    stomp.confirmed(Command::Send, &headers, r#"{"body":"planted-body"}"#).await;
    stomp.message("message").await;
    drop(stomp);
    let lines = parsed(&server.stop().await);

    let spans = collector.spans(Some("4bf92f3577b34da6a3ce929d0e0e4736"));
    let names: Vec<&str> = spans.keys().map(String::as_str).collect();
    let request = "POST /api/v1/rooms/{room_id}/messages";
    assert_eq!(names, [request, "append", "command send_message", "project read_models", "push"]);
    for (name, parent, kind) in [
        ("append", "command send_message", SpanKind::Client),
        ("command send_message", request, SpanKind::Internal),
        ("project read_models", request, SpanKind::Consumer),
        ("push", request, SpanKind::Producer),
    ] {
        let span = &spans[name];
        assert_eq!(span.parent_span_id, spans[parent].span_id, "{name}");
        assert_eq!(span.kind, kind as i32, "{name}");
        assert!(span.start_time_unix_nano >= spans[request].start_time_unix_nano - 1_000_000, "{name}");
    }
    assert_eq!(hex(&spans[request].parent_span_id), "00f067aa0ba902b7");
    assert_eq!(spans[request].kind, SpanKind::Server as i32);
    for span in spans.values() {
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano, "{span:?}");
    }
    // The log names the same step.
    let answered = having(&lines, "message_id", sent.str("message_id"));
    let answered = answered.iter().find(|line| line["msg"] == "answered").unwrap();
    assert_eq!(answered["span_id"], hex(&spans[request].span_id));

    let spans = collector.spans(Some("aaaabbbbccccdddd1111222233334444"));
    let names: Vec<&str> = spans.keys().map(String::as_str).collect();
    assert_eq!(names, ["SEND", "append", "command send_message", "project read_models", "push"]);
    assert_eq!(hex(&spans["SEND"].parent_span_id), "1234567890abcdef");
    // Whose traces nobody asked for are not sampled.
    assert_eq!(collector.spans(None).len(), 6);
    let everything = format!("{:?}", collector.0.lock().unwrap());
    assert!(everything.contains("node-7") && everything.contains("service.name"));
    assert!(!everything.contains("planted-body") && !everything.contains(&ada.email));
}

#[tokio::test]
async fn what_begins_here_is_sampled_if_asked_for() {
    let collector = Collector::default();
    let url = collector.start().await;
    let server = Logged::start(&[("VERBATIM_OTLP_ENDPOINT", &url)]).await;
    let ada = server.api.user("Ada").await;
    let answer = ada.get("/members/me").ok(200).await;
    // A client that has not sampled its trace has decided so.
    let unsampled = SAMPLED.replace("-01", "-00");
    ada.get("/rooms").header("traceparent", &unsampled).ok(200).await;
    server.stop().await;
    let trace = answer.header("traceparent").unwrap();
    assert!(trace.ends_with("-03"), "sampled, and random: {trace}");
    assert_eq!(collector.spans(Some(&trace[3..35])).len(), 1);
    assert!(collector.spans(Some(&unsampled[3..35])).is_empty());
}

#[tokio::test]
async fn a_collector_that_is_away_harms_nobody_and_is_told_of_once() {
    // Takes connections, and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let server = Logged::start(&[("VERBATIM_OTLP_ENDPOINT", &url)]).await;
    let ada = server.api.user("Ada").await;
    let room = ada.room("Engines").await;
    for _ in 0..20 {
        ada.say(&room, "hello").ok(201).await;
    }
    // Both before and after it was found out.
    within("the first try", silent.accept()).await.unwrap();
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let other = Logged::start(&[("VERBATIM_OTLP_ENDPOINT", &format!("http://{gone}"))]).await;
    other.api.user("Grace").await;
    within("the failure", async {
        // Each scrape is something to be sent, too.
        while other.api.page("/metrics").ok(200).await.text().contains(r#"level="warn"} 0"#) {}
    })
    .await;
    let lines = parsed(&other.stop().await);
    only(&lines, "msg", "the collector takes no spans; they are dropped until it does");
    assert!(having(&lines, "level", 50).is_empty());
    let lines = parsed(&server.stop().await);
    assert!(having(&lines, "level", 50).is_empty());
}
