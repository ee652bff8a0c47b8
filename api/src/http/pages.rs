//! What is served beside the API: the page at `/`, Swagger UI at `/docs`, the document, health and metrics.

use super::{
    document,
    middleware::Policy,
    problem::{Problem, Wrong},
    resource::Resource,
    routes,
};
use async_trait::async_trait;
use bytes::Bytes;
use poem::{
    Endpoint, IntoResponse, Request, Response, Result,
    endpoint::{make, make_sync},
    http::{StatusCode, header},
};
use poem_openapi::OpenApiService;
use serde_json::json;
use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

/// How long the dependencies may take to say that they are ready.
const READY_LIMIT: Duration = Duration::from_secs(5);

const INDEX: &str = include_str!("../../../web/index.html");
const INDEX_POLICY: Policy = Policy(
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'",
);
/// Swagger UI sets style attributes, and shows its icons from `data:` URLs. Scripts come from our own paths only.
const DOCS_POLICY: Policy = Policy(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' \
     data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
const DOCS: &str = "<!doctype html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<title>Verbatim: the API</title>
<link rel=\"stylesheet\" href=\"/docs/swagger-ui.css\">
</head>
<body>
<div id=\"ui\"></div>
<script src=\"/docs/swagger-ui.js\"></script>
<script src=\"/docs/start.js\"></script>
</body>
</html>
";
const DOCS_START: &str = "SwaggerUIBundle({
  dom_id: '#ui',
  url: '/openapi.json',
  deepLinking: true,
  persistAuthorization: false,
});
";

/// Text that changes with an upgrade only, and is large.
const CACHED: &str = "public, max-age=3600";
/// Text that must be today's.
const FRESH: &str = "no-cache";

/// Whether what this service depends on is there.
#[async_trait]
pub trait Readiness: Send + Sync + 'static {
    /// Each dependency by name. It may take 5 s.
    async fn check(&self) -> Vec<(&'static str, ReadinessState)>;
}

/// How a dependency is. The sentences are for operators, and hold no secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadinessState {
    /// It is there.
    Ready,
    /// It is not, and all works without it, not as well.
    Degraded(String),
    /// It is not, and something does not work.
    Away(String),
}

/// Writes the metrics in the Prometheus text format.
pub type Metrics = Arc<dyn Fn() -> String + Send + Sync>;

/// Swagger UI's script and style. poem-openapi has them as one page with everything inline, which no strict
/// Content-Security-Policy allows.
struct SwaggerUi {
    script: Bytes,
    style: Bytes,
}

static SWAGGER_UI: LazyLock<Option<SwaggerUi>> = LazyLock::new(|| {
    let page = OpenApiService::new(routes::apis(), "", "").swagger_ui_html();
    let between = |start: &str, end: &str| {
        let (_, rest) = page.split_once(start)?;
        Some(Bytes::from(rest.split_once(end)?.0.to_owned()))
    };
    Some(SwaggerUi {
        script: between("<script charset=\"UTF-8\">", "</script>\n</head>")?,
        style: between("<style charset=\"UTF-8\">", "</style>")?,
    })
});

fn page(html: &'static str, policy: Policy) -> impl Endpoint<Output = Response> + 'static {
    make_sync(move |_| {
        let mut response = text("text/html; charset=utf-8", FRESH, Bytes::from_static(html.as_bytes()));
        response.set_data(policy);
        response
    })
}

fn text(content_type: &'static str, caching: &'static str, body: Bytes) -> Response {
    Response::builder().content_type(content_type).header(header::CACHE_CONTROL, caching).body(body)
}

fn asset(
    content_type: &'static str,
    part: fn(&'static SwaggerUi) -> &'static Bytes,
) -> impl Endpoint<Output = Response> + 'static {
    make(move |_: Request| async move {
        // A test holds that it is there.
        let ui = SWAGGER_UI.as_ref().ok_or_else(|| Problem::bare(StatusCode::NOT_FOUND))?;
        Ok::<_, poem::Error>(text(content_type, CACHED, part(ui).clone()))
    })
}

async fn ready(readiness: &dyn Readiness) -> Result<Response> {
    let Ok(all) = tokio::time::timeout(READY_LIMIT, readiness.check()).await else {
        return Err(not_ready(vec![Wrong::new("all", "did not say in time whether it is ready")]));
    };
    let mut away = Vec::new();
    let mut degraded = serde_json::Map::new();
    for (name, state) in all {
        match state {
            ReadinessState::Ready => {}
            ReadinessState::Degraded(why) => drop(degraded.insert(name.to_owned(), why.into())),
            ReadinessState::Away(why) => away.push(Wrong::new(name, why)),
        }
    }
    if !away.is_empty() {
        return Err(not_ready(away));
    }
    let answer = if degraded.is_empty() {
        json!({ "status": "ready" })
    } else {
        json!({ "status": "ready", "degraded": degraded })
    };
    Ok(poem::web::Json(answer).into_response())
}

fn not_ready(errors: Vec<Wrong>) -> poem::Error {
    let detail = "not everything this needs is there; `errors` names what is not";
    let mut problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", detail);
    problem.errors = errors;
    problem.into()
}

/// All paths outside of the API.
pub(super) fn resources(readiness: &Arc<dyn Readiness>, metrics: &Metrics) -> Vec<Resource> {
    let (readiness, metrics) = (readiness.clone(), metrics.clone());
    vec![
        Resource::new("/").get(page(INDEX, INDEX_POLICY)),
        Resource::new("/docs").get(page(DOCS, DOCS_POLICY)),
        Resource::new("/docs/swagger-ui.js").get(asset("text/javascript; charset=utf-8", |ui| &ui.script)),
        Resource::new("/docs/swagger-ui.css").get(asset("text/css; charset=utf-8", |ui| &ui.style)),
        Resource::new("/docs/start.js").get(make_sync(|_| {
            text("text/javascript; charset=utf-8", CACHED, Bytes::from_static(DOCS_START.as_bytes()))
        })),
        Resource::new("/openapi.json").get(make_sync(|_| {
            text("application/json", FRESH, Bytes::from_static(document::text().as_bytes()))
        })),
        Resource::new("/health/live").get(make_sync(|_| poem::web::Json(json!({ "status": "live" })))),
        Resource::new("/health/ready").get(make(move |_| {
            let readiness = readiness.clone();
            async move { ready(readiness.as_ref()).await }
        })),
        Resource::new("/metrics").get(make_sync(move |_| {
            Response::builder().content_type("text/plain; version=0.0.4; charset=utf-8").body(metrics())
        })),
    ]
}
