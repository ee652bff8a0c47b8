//! Taking Redis's answers apart.

use super::failure::Failure;
use redis::Value;

/// An answer that no script of ours gives.
pub(super) fn unexpected(value: &Value) -> Failure {
    // Not the value itself: it may be large.
    let what = match value {
        Value::Nil => "nothing",
        Value::Int(_) => "a number",
        Value::Array(_) => "a list of another shape",
        Value::BulkString(_) | Value::SimpleString(_) => "another text",
        _ => "something else",
    };
    Failure::Unexpected(what.to_owned())
}

pub(super) fn list(value: Value) -> Result<Vec<Value>, Failure> {
    match value {
        Value::Array(items) => Ok(items),
        other => Err(unexpected(&other)),
    }
}

pub(super) fn bytes(value: &Value) -> Result<&[u8], Failure> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        Value::SimpleString(text) => Ok(text.as_bytes()),
        other => Err(unexpected(other)),
    }
}

pub(super) fn text(value: &Value) -> Result<String, Failure> {
    Ok(String::from_utf8_lossy(bytes(value)?).into_owned())
}

/// A text that may be missing.
pub(super) fn optional(value: &Value) -> Result<Option<String>, Failure> {
    if matches!(value, Value::Nil) { Ok(None) } else { text(value).map(Some) }
}

pub(super) fn number(value: &Value) -> Result<u64, Failure> {
    match value {
        Value::Int(number) => u64::try_from(*number).map_err(|_| unexpected(value)),
        other => {
            let digits = std::str::from_utf8(bytes(other)?).ok();
            digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| unexpected(other))
        }
    }
}
