//! Pages of other origins, and what browsers are told.

use crate::kit::{Answer, start, start_with};
use reqwest::Method;
use serde_json::json;

const OURS: &str = "https://chat.example";
const ALLOW_ORIGIN: &str = "Access-Control-Allow-Origin";

fn says_nothing_of_origins(answer: &Answer) {
    let names: Vec<_> =
        answer.headers.keys().filter(|name| name.as_str().starts_with("access-control")).collect();
    assert!(names.is_empty(), "{answer}: {names:?}");
}

#[tokio::test]
async fn other_origins_are_shut_out_by_default() {
    let (_server, api) = start().await;
    let ada = api.user("Ada").await;
    for origin in [OURS, "null", "http://localhost:3000", &api.base] {
        says_nothing_of_origins(&ada.get("/rooms").header("Origin", origin).ok(200).await);
        says_nothing_of_origins(
            &api.get("/rooms").header("Origin", origin).problem(401, "missing_token").await,
        );
        let preflight = api.at(Method::OPTIONS, "/api/v1/rooms").header("Origin", origin);
        let preflight = preflight.header("Access-Control-Request-Method", "POST");
        says_nothing_of_origins(&preflight.problem(405, "method_not_allowed").await);
    }
}

#[tokio::test]
async fn an_origin_of_the_settings_may_call() {
    let (_server, api) =
        start_with(&[("VERBATIM_CORS_ORIGINS", "https://chat.example, http://localhost:3000")]).await;
    let ada = api.user("Ada").await;
    for origin in [OURS, "http://localhost:3000"] {
        let preflight = api.at(Method::OPTIONS, "/api/v1/rooms").header("Origin", origin);
        let preflight = preflight
            .header("Access-Control-Request-Method", "POST")
            .header("Access-Control-Request-Headers", "authorization, content-type, idempotency-key")
            .ok(204)
            .await;
        assert_eq!(preflight.header(ALLOW_ORIGIN), Some(origin));
        let list = |name: &str| preflight.header(name).unwrap().to_lowercase();
        for method in ["get", "post", "put", "patch", "delete"] {
            assert!(list("Access-Control-Allow-Methods").contains(method), "{method}");
        }
        for header in
            ["authorization", "content-type", "idempotency-key", "verbatim-position", "last-event-id"]
        {
            assert!(list("Access-Control-Allow-Headers").contains(header), "{header}");
        }
        // Tokens travel in headers: no cookies, so no credentials.
        assert_eq!(preflight.header("Access-Control-Allow-Credentials"), None);

        // Also where the answer is a problem, or the page could not say why.
        let answers = [
            ada.post("/rooms", json!({ "name": "x" })).header("Origin", origin).ok(201).await,
            api.get("/rooms").header("Origin", origin).problem(401, "missing_token").await,
            api.get("/nothing").header("Origin", origin).problem(404, "path_not_found").await,
        ];
        for answer in &answers {
            assert_eq!(answer.header(ALLOW_ORIGIN), Some(origin), "{answer}");
            let exposed = answer.header("Access-Control-Expose-Headers").unwrap().to_lowercase();
            for header in ["verbatim-position", "x-request-id", "retry-after"] {
                assert!(exposed.contains(header), "{exposed}");
            }
            assert!(answer.header("Vary").unwrap().to_lowercase().contains("origin"));
        }
    }
    for other in
        ["https://chat.example.evil.example", "https://evil.example", "http://chat.example", "null", "*"]
    {
        says_nothing_of_origins(&ada.get("/rooms").header("Origin", other).ok(200).await);
        let preflight = api.at(Method::OPTIONS, "/api/v1/rooms").header("Origin", other);
        let preflight = preflight.header("Access-Control-Request-Method", "POST").send().await;
        assert_eq!(preflight.header(ALLOW_ORIGIN), None, "{other}");
    }
    assert_eq!(ada.get("/rooms").ok(200).await.header(ALLOW_ORIGIN), None);
}

#[tokio::test]
async fn browsers_are_told_what_not_to_do() {
    let (_server, api) = start().await;
    let ada = api.user("Ada").await;
    let answers = [
        (ada.get("/rooms").ok(200).await, "no-store"),
        (api.get("/rooms").problem(401, "missing_token").await, "no-store"),
        (api.page("/nothing").problem(404, "path_not_found").await, "no-store"),
        (api.page("/metrics").ok(200).await, "no-store"),
        (api.page("/").ok(200).await, "no-cache"),
        (api.page("/docs").ok(200).await, "no-cache"),
        (api.page("/docs/swagger-ui.js").ok(200).await, "public"),
    ];
    for (answer, cached) in &answers {
        let csp = answer.header("Content-Security-Policy").unwrap();
        assert!(
            csp.contains("default-src 'none'") && csp.contains("frame-ancestors 'none'"),
            "{answer}: {csp}"
        );
        assert!(!csp.contains("script-src 'unsafe-inline'") && !csp.contains("unsafe-eval"), "{csp}");
        assert_eq!(answer.header("X-Frame-Options"), Some("DENY"), "{answer}");
        assert_eq!(answer.header("Referrer-Policy"), Some("no-referrer"), "{answer}");
        assert!(answer.header("Cache-Control").unwrap().contains(cached), "{answer}");
        assert_eq!(answer.header("Server"), None, "{answer}: says what it is made of");
    }
}
