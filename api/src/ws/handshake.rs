//! The opening handshake (RFC 6455, section 4.2). It is done here and not by poem's extractor, which takes the first
//! subprotocol the client offers: webstomp-client offers the lowest first.

use super::{Realtime, connection};
use crate::{
    http::{RequestId, problem::Problem},
    stomp::negotiate::choose_subprotocol,
};
use poem::{
    Endpoint, Request, Response,
    http::{HeaderValue, Method, StatusCode, header},
};
use std::sync::Arc;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        handshake::derive_accept_key,
        protocol::{Role, WebSocketConfig},
    },
};

/// Largest WebSocket message: a few STOMP frames of the largest size.
const MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// Read buffer of one connection. tungstenite's own default, 128 KiB, would be most of an idle session's memory.
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// What is gathered before it is written to the socket.
pub(super) const WRITE_BUFFER_BYTES: usize = 64 * 1024;

/// Serves `/ws`.
pub struct WsEndpoint {
    realtime: Arc<Realtime>,
}

impl WsEndpoint {
    /// The endpoint.
    #[must_use]
    pub fn new(realtime: Realtime) -> Self {
        Self { realtime: Arc::new(realtime) }
    }
}

fn token_of(request: &Request, name: header::HeaderName, wanted: &str) -> bool {
    request
        .headers()
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|token| token.trim().eq_ignore_ascii_case(wanted))
}

impl Endpoint for WsEndpoint {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        if request.method() != Method::GET {
            return Err(Problem::method_not_allowed(HeaderValue::from_static("GET")).into());
        }
        let key =
            request.headers().get(header::SEC_WEBSOCKET_KEY).map(|key| derive_accept_key(key.as_bytes()));
        let upgrades = token_of(&request, header::UPGRADE, "websocket")
            && token_of(&request, header::CONNECTION, "upgrade")
            && token_of(&request, header::SEC_WEBSOCKET_VERSION, "13");
        let (Some(key), true) = (key, upgrades) else {
            return Ok(upgrade_required(&request));
        };
        let claims = match ticket(&request) {
            Some(ticket) => {
                Some(self.realtime.app.redeem_ticket(&ticket).await.map_err(crate::http::to_poem)?)
            }
            None => None,
        };
        let place = self.realtime.place().map_err(crate::http::to_poem)?;
        let offered = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL);
        let offered: Vec<&str> = offered.iter().filter_map(|value| value.to_str().ok()).collect();
        let mut response = Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header(header::CONNECTION, "upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_ACCEPT, key);
        if let Some(chosen) = choose_subprotocol(offered) {
            response = response.header(header::SEC_WEBSOCKET_PROTOCOL, chosen.name);
        }
        let trace = crate::trace::of_headers(request.headers());
        let upgrade = request.take_upgrade()?;
        let realtime = self.realtime.clone();
        tokio::spawn(async move {
            let Ok(socket) = upgrade.await else { return };
            let config = WebSocketConfig::default()
                .read_buffer_size(READ_BUFFER_BYTES)
                .write_buffer_size(WRITE_BUFFER_BYTES)
                .max_message_size(Some(MESSAGE_BYTES_MAX))
                .max_frame_size(Some(MESSAGE_BYTES_MAX));
            let socket = WebSocketStream::from_raw_socket(socket, Role::Server, Some(config)).await;
            connection::open(socket, realtime, claims, trace).run().await;
            drop(place);
        });
        Ok(response.finish())
    }
}

/// 426 with the protocol to upgrade to (RFC 9110, section 15.5.22).
fn upgrade_required(request: &Request) -> Response {
    let detail = "this path speaks STOMP over WebSocket (version 13) only";
    let problem = Problem::new(StatusCode::UPGRADE_REQUIRED, "websocket_only", detail);
    let mut response = problem.response(request.data::<RequestId>().map(RequestId::as_str));
    response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    response
}

/// The `ticket` of the query, for browsers, which can set no header here.
fn ticket(request: &Request) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Query {
        ticket: String,
    }
    request.params::<Query>().ok().map(|query| query.ticket)
}
