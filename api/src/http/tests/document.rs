use super::{super::openapi_document, client::resolve};
use serde_json::Value;
use std::collections::BTreeSet;

fn document() -> Value {
    serde_json::from_str(&openapi_document()).unwrap()
}

fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().iter();
            methods.map(move |(method, operation)| (format!("{} {path}", method.to_uppercase()), operation))
        })
        .collect()
}

#[test]
fn the_committed_document_is_this_one() {
    let committed = include_str!("../../../../docs/openapi.json");
    assert!(
        committed == openapi_document(),
        "docs/openapi.json is not current: run make openapi and commit it"
    );
}

#[test]
fn every_endpoint_of_the_interface_is_there() {
    let document = document();
    let names: BTreeSet<String> = operations(&document).into_iter().map(|(name, _)| name).collect();
    let expected: BTreeSet<String> = [
        "POST /members",
        "GET /members",
        "GET /members/me",
        "PATCH /members/me",
        "POST /auth/login",
        "POST /auth/ticket",
        "POST /auth/refresh",
        "POST /auth/logout",
        "POST /rooms",
        "GET /rooms",
        "GET /rooms/{room_id}",
        "POST /rooms/{room_id}/members",
        "GET /rooms/{room_id}/members",
        "DELETE /rooms/{room_id}/members/{member_id}",
        "PUT /direct-rooms/{member_id}",
        "GET /me/rooms",
        "GET /me/events",
        "POST /rooms/{room_id}/messages",
        "GET /rooms/{room_id}/messages",
        "PATCH /rooms/{room_id}/messages/{seq}",
        "DELETE /rooms/{room_id}/messages/{seq}",
        "PUT /rooms/{room_id}/read-cursor",
        "GET /rooms/{room_id}/events",
        "GET /admin/projections",
        "POST /admin/projections/{name}/rebuild",
        "POST /admin/projections/{name}/verify",
        "POST /admin/projections/{name}/rollback",
        "POST /admin/projections/{name}/drop-old",
    ]
    .into_iter()
    .map(|name| name.replace(" /", " /api/v1/"))
    .collect();
    assert_eq!(names, expected);
}

#[test]
fn every_operation_documents_its_errors() {
    let document = document();
    for (name, operation) in operations(&document) {
        let has = |status: &str| operation["responses"][status].is_object();
        let body = operation["requestBody"].is_object();
        assert!(has("500") && has("503"), "{name}");
        assert!(!body || (has("400") && has("413") && has("415")), "{name}");
        assert!(operation["parameters"].is_null() || has("400"), "{name}");
        assert!(operation["security"].is_null() || has("401"), "{name}");
        for (status, response) in operation["responses"].as_object().unwrap() {
            let response = resolve(&document, response);
            assert!(response["headers"]["X-Request-Id"].is_object(), "{name} {status}");
            if status.as_str() >= "400" {
                let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
                assert_eq!(schema, "#/components/schemas/Problem", "{name} {status}");
            }
        }
    }
}

#[test]
fn every_operation_says_what_it_is() {
    let document = document();
    let mut ids = BTreeSet::new();
    for (name, operation) in operations(&document) {
        assert!(operation["summary"].is_string(), "{name}");
        assert_eq!(operation["tags"].as_array().map(Vec::len), Some(1), "{name}");
        assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{name}");
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert!(parameter["description"].is_string(), "{name}: {}", parameter["name"]);
        }
        let success: Vec<&String> = operation["responses"]
            .as_object()
            .unwrap()
            .keys()
            .filter(|status| status.starts_with('2'))
            .collect();
        assert_eq!(success.len(), 1, "{name}");
    }
}

#[test]
fn request_bodies_have_no_room_for_typing_errors() {
    let document = document();
    let mut bodies = 0;
    for (name, operation) in operations(&document) {
        let Some(reference) =
            operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str()
        else {
            continue;
        };
        bodies += 1;
        let schema = document.pointer(reference.trim_start_matches('#')).unwrap();
        assert_eq!(schema["additionalProperties"], false, "{name}");
        for property in schema["properties"].as_object().unwrap().values() {
            assert!(property["description"].is_string(), "{name}");
            let limited = property["maxLength"].is_u64()
                || property["format"] == "uuid"
                || property["maximum"].is_number();
            assert!(limited, "{name}: {property}");
        }
    }
    assert!(bodies > 5);
}

#[test]
fn reads_can_wait_and_creations_can_be_repeated() {
    let document = document();
    for (name, operation) in operations(&document) {
        let parameter = |wanted: &str| {
            operation["parameters"].as_array().into_iter().flatten().any(|one| one["name"] == wanted)
        };
        let stream_or_admin = name.contains("/events") || name.contains("/admin/");
        if name.starts_with("GET ") && !stream_or_admin {
            assert!(parameter("min_position") && parameter("Verbatim-Position"), "{name}");
        }
        if let Some(created) = operation["responses"].get("201").filter(|_| !name.contains("/auth/")) {
            assert!(parameter("Idempotency-Key"), "{name}");
            assert!(created["headers"]["Verbatim-Position"].is_object(), "{name}");
            assert!(operation["responses"]["409"].is_object(), "{name}");
        }
    }
}

#[test]
fn references_lead_somewhere() {
    fn check(document: &Value, value: &Value) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get("$ref") {
                    assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
                }
                members.values().for_each(|member| check(document, member));
            }
            Value::Array(items) => items.iter().for_each(|item| check(document, item)),
            _ => {}
        }
    }
    let document = document();
    check(&document, &document);
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let valid = |name: &String| name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    assert!(schemas.keys().all(valid));
}

#[test]
fn limits_are_exact() {
    let document = document();
    let (_, send) = operations(&document)
        .into_iter()
        .find(|(name, _)| name.starts_with("PUT") && name.ends_with("read-cursor"))
        .unwrap();
    let reference = send["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str().unwrap();
    let seq = &document.pointer(reference.trim_start_matches('#')).unwrap()["properties"]["seq"];
    assert_eq!((seq["minimum"].as_u64(), seq["maximum"].as_u64()), (Some(0), Some((1 << 53) - 1)));
}
