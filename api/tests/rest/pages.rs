//! What is served beside the API.

use crate::kit::start;
use serde_json::{Value, json};

#[tokio::test]
async fn the_pages_are_there_and_load_nothing_from_elsewhere() {
    let (_server, api) = start().await;
    let index = api.page("/").ok(200).await;
    assert!(index.header("Content-Type").unwrap().starts_with("text/html"), "{index}");
    for link in ["/docs", "/openapi.json"] {
        assert!(index.text().contains(link), "no link to {link} on {index}");
    }
    let docs = api.page("/docs").ok(200).await;
    assert!(docs.header("Content-Type").unwrap().starts_with("text/html"), "{docs}");
    let mut loaded = Vec::new();
    for attribute in ["src=\"", "href=\""] {
        for rest in docs.text().split(attribute).skip(1) {
            loaded.push(rest.split('"').next().unwrap().to_owned());
        }
    }
    assert!(loaded.len() >= 3, "{loaded:?}");
    for path in loaded {
        assert!(path.starts_with("/docs/"), "{path} is of another origin");
        let part = api.page(&path).ok(200).await;
        assert!(!part.bytes.is_empty());
        // Without its own type, a browser told `nosniff` does not run it.
        let expected = if path.ends_with(".css") { "text/css" } else { "text/javascript" };
        assert!(part.header("Content-Type").unwrap().starts_with(expected), "{path}");
    }
}

#[tokio::test]
async fn the_document_served_is_the_one_committed() {
    let (_server, api) = start().await;
    let served = api.page("/openapi.json").ok(200).await;
    assert_eq!(served.header("Content-Type"), Some("application/json"));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
    let committed = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert!(served.text() == committed, "docs/openapi.json is not current: make openapi");
}

#[tokio::test]
async fn what_the_document_promises_is_served() {
    let (_server, api) = start().await;
    let ada = api.user("Ada").await;
    let document = api.page("/openapi.json").ok(200).await;
    let mut operations = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            operations += 1;
            let filled = path
                .replace("{room_id}", "0198c2f4-8a1d-7c52-b1aa-4b7e2d90c3f2")
                .replace("{member_id}", "0198c2f4-6f0e-7a30-9d6b-0f3c8a1e5b11")
                .replace("{seq}", "1")
                .replace("{name}", "nothing");
            assert!(!filled.contains('{'), "{path}");
            let method = reqwest::Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let open = operation["security"].as_array().is_none_or(Vec::is_empty);
            let anonymous = api.at(method.clone(), &filled).json(json!({})).send().await;
            let status = anonymous.status.to_string();
            assert!(!operation["responses"][&status].is_null(), "{anonymous} is not in the document");
            assert_eq!(anonymous.status == 401, !open, "{anonymous}: security is not as the document says");
            if path.ends_with("/me/events") {
                // It would begin, and never end.
                continue;
            }
            let known = api.at(method, &filled).by(&ada).json(json!({})).send().await;
            assert!(
                !operation["responses"][known.status.to_string()].is_null(),
                "{known} is not in the document"
            );
            assert!(operation["operationId"].is_string() && operation["summary"].is_string(), "{path}");
        }
    }
    assert!(operations >= 25, "only {operations}");
    let examples = |value: &Value| !value["properties"].is_null() || !value["type"].is_null();
    assert!(document["components"]["schemas"].as_object().unwrap().values().all(examples));
}

#[tokio::test]
async fn health_is_told() {
    let (_server, api) = start().await;
    assert_eq!(api.page("/health/live").ok(200).await.json, json!({ "status": "live" }));
    assert_eq!(api.page("/health/ready").ok(200).await.json, json!({ "status": "ready" }));
}
