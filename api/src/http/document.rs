//! The OpenAPI document: what poem-openapi makes of the operations, and what it has no words for.

use super::{answer::problem_meta, context::POSITION_HEADER, problem, routes, schema::WHOLE_MAX};
use poem_openapi::{LicenseObject, OpenApiService};
use serde_json::{Map, Number, Value, json};
use std::sync::LazyLock;

const REQUEST_ID: &str = "X-Request-Id";
const DESCRIPTION: &str = "\
An event-sourced chat backend: every word said is one event in an append-only log, and everything that is read is a \
projection of it.\n\n\
**Errors** are `application/problem+json` (RFC 9457) with a stable `code` and a `request_id`.\n\n\
**Lists** are read page by page: pass `next` as `cursor` until it is null. History is read by message number instead.\n\n\
**Trying again** is safe: send the same `Idempotency-Key` and get the first answer again, for ever. The same key with \
other content is answered 409.\n\n\
**Reading one's own writes**: a command answers the header `Verbatim-Position`; a read with it, in the same header or as \
`min_position`, waits until it sees the command, at most 5 seconds, then answers 503.\n\n\
**Times** are RFC 3339 in UTC with six fractional digits.";

/// The document, pretty-printed with sorted keys, ending in a new line: the same text for the same program.
static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let service = OpenApiService::new(routes::apis(), "Verbatim", env!("CARGO_PKG_VERSION"))
        .description(DESCRIPTION)
        .license(LicenseObject::new("MIT OR Apache-2.0"))
        .server("/");
    // It has just been written from JSON values.
    let mut document: Value = serde_json::from_str(&service.spec()).unwrap_or_default();
    refine(&mut document);
    format!("{:#}\n", sorted(document))
});

/// The OpenAPI document as JSON. The same for every run of one build, so that it can be kept in version control.
#[must_use]
pub fn openapi_document() -> String {
    DOCUMENT.clone()
}

pub(super) fn text() -> &'static str {
    &DOCUMENT
}

fn object(value: &mut Value) -> impl Iterator<Item = &mut Value> {
    value.as_object_mut().into_iter().flat_map(Map::values_mut)
}

fn refine(document: &mut Value) {
    document["components"]["headers"][REQUEST_ID] = json!({
        "description": "Names this request in our logs. Taken from the request, if it has one of 1 to 64 letters, \
                        digits, `.`, `_`, `-`.",
        "required": true,
        "schema": { "type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$" },
    });
    for status in problem::STATUSES {
        // Made of strings and numbers, which JSON can hold.
        let mut response = serde_json::to_value(problem_meta(status)).unwrap_or_default();
        response["headers"][REQUEST_ID] = json!({ "$ref": format!("#/components/headers/{REQUEST_ID}") });
        document["components"]["responses"][status.to_string()] = response;
    }
    let mut bodies = Vec::new();
    if let Some(paths) = document.get_mut("paths") {
        for operation in object(paths).flat_map(object) {
            refine_operation(operation);
            bodies.extend(
                operation
                    .pointer("/requestBody/content/application~1json/schema/$ref")
                    .and_then(Value::as_str)
                    .and_then(|reference| reference.strip_prefix('#'))
                    .map(str::to_owned),
            );
        }
    }
    for pointer in bodies {
        if let Some(Value::Object(schema)) = document.pointer_mut(&pointer) {
            // poem-openapi can't say `false` here. Unknown fields are refused, for a misspelt one would be lost.
            schema.insert("additionalProperties".to_owned(), json!(false));
        }
    }
    tidy(document);
}

/// Adds what follows from the parts of an operation.
fn refine_operation(operation: &mut Value) {
    let Value::Object(operation) = operation else { return };
    let parameters = operation.get("parameters").and_then(Value::as_array);
    let waits = parameters.is_some_and(|all| all.iter().any(|one| one["name"] == "min_position"));
    let has_body = operation.contains_key("requestBody");
    let implied = [
        (400, parameters.is_some() || has_body),
        (401, operation.contains_key("security")),
        (413, has_body),
        (415, has_body),
        (500, true),
        (503, true),
    ];
    if let Some(Value::Object(responses)) = operation.get_mut("responses") {
        for (status, _) in implied.into_iter().filter(|(_, implied)| *implied) {
            responses.insert(status.to_string(), Value::Null);
        }
        for (status, response) in responses.iter_mut() {
            if status.as_str() < "400" {
                response["headers"][REQUEST_ID] =
                    json!({ "$ref": format!("#/components/headers/{REQUEST_ID}") });
            } else {
                // The same for all operations: said once.
                *response = json!({ "$ref": format!("#/components/responses/{status}") });
            }
        }
    }
    if let (true, Some(Value::Array(parameters))) = (waits, operation.get_mut("parameters")) {
        let schema = parameters
            .iter()
            .find(|one| one["name"] == "min_position")
            .map(|one| one["schema"].clone())
            .unwrap_or_default();
        parameters.push(json!({
            "name": POSITION_HEADER,
            "in": "header",
            "description": "The same as `min_position`; the greater of both counts.",
            "required": false,
            "schema": schema,
        }));
    }
}

/// Doc comments are broken into lines where the source is, and Markdown shows some of these breaks; limits of whole
/// numbers are whole, though poem-openapi keeps them as floats.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                match member {
                    Value::String(text) if name == "description" || name == "summary" => {
                        let paragraphs: Vec<String> = text
                            .split("\n\n")
                            .map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "))
                            .collect();
                        *text = paragraphs.join("\n\n");
                    }
                    #[expect(
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        reason = "limits are 0 to 2^53"
                    )]
                    Value::Number(limit) if matches!(name.as_str(), "minimum" | "maximum") => {
                        if let Some(whole) = limit.as_f64().filter(|limit| limit.fract() == 0.0) {
                            // Reading a float back from text may miss by one in the last place.
                            let whole = whole as u64;
                            *limit =
                                Number::from(if whole.abs_diff(WHOLE_MAX) <= 1 { WHOLE_MAX } else { whole });
                        }
                    }
                    other => tidy(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

/// Sorts all keys, whichever way serde_json was compiled to keep them.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<(String, Value)> = members.into_iter().collect();
            members.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(members.into_iter().map(|(name, member)| (name, sorted(member))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}
