//! The last touch to a line. The bunyan formatter knows no name of a node, puts the name of the span before the
//! message, and takes any field from anybody; all three are put right here, on the finished line.

use super::{fields::FIELDS, is_own, queue::Queue};
use serde_json::{Map, Value};
use std::io::{self, Write};
use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

/// Between the name of the span and the message, as the formatter writes it.
const EVENT: &[u8] = b" - EVENT] ";
/// Where the name of the node goes.
const NO_HOST: &[u8] = b",\"hostname\":\"\",";

/// Where lines go.
pub(super) enum Sink {
    /// At once.
    Stderr,
    /// Behind the caller's back.
    Queue(Queue),
}

/// What the bunyan formatter writes into.
pub(super) struct Lines {
    /// What comes before the message in every line.
    head: Vec<u8>,
    /// What takes the place of [`NO_HOST`].
    host: Vec<u8>,
    node: String,
    sinks: Vec<Sink>,
}

impl Lines {
    pub(super) fn new(name: &str, node: &str, sinks: Vec<Sink>) -> Self {
        let head = format!("{{\"v\":0,\"name\":{},\"msg\":\"", Value::from(name)).into_bytes();
        let host = format!(",\"hostname\":{},", Value::from(node)).into_bytes();
        Self { head, host, node: node.to_owned(), sinks }
    }

    /// The parts of the line as it should be; the line as it is, should the formatter ever write another one.
    fn reshape<'a>(&'a self, line: &'a [u8]) -> [&'a [u8]; 5] {
        self.try_reshape(line).unwrap_or([line, b"", b"", b"", b""])
    }

    fn try_reshape<'a>(&'a self, line: &'a [u8]) -> Option<[&'a [u8]; 5]> {
        let message = line.strip_prefix(self.head.as_slice())?;
        let (message, rest) = message.split_at(end_of_string(message)?);
        let (level, rest) = rest.split_at(find(rest, NO_HOST)?);
        let rest = rest.get(NO_HOST.len()..)?;
        let span = if message.starts_with(b"[") { find(message, EVENT) } else { None };
        let message = span.and_then(|at| message.get(at + EVENT.len()..)).unwrap_or(message);
        Some([&self.head, message, level, &self.host, rest])
    }

    /// A line of somebody else's: fields that the index does not know go into the message.
    fn tame(&self, line: &[u8]) -> Option<Vec<u8>> {
        let fields: Map<String, Value> = serde_json::from_slice(line).ok()?;
        let mut tamed = Map::new();
        let mut more = String::new();
        for (name, value) in fields {
            if FIELDS.get(&name).is_some_and(|kind| kind.fits(&value)) {
                tamed.insert(name, value);
            } else {
                more.push_str(&format!(" {name}={value}"));
            }
        }
        if let Some(Value::String(message)) = tamed.get_mut("msg") {
            if let Some((_, plain)) = message.split_once(" - EVENT] ") {
                *message = plain.to_owned();
            }
            message.push_str(&more);
        }
        tamed.insert("hostname".to_owned(), Value::from(self.node.as_str()));
        let mut line = serde_json::to_vec(&tamed).ok()?;
        line.push(b'\n');
        Some(line)
    }

    fn write(&self, parts: &[&[u8]]) {
        for sink in &self.sinks {
            match sink {
                Sink::Queue(queue) => queue.push(parts),
                // Nobody can be told that standard error is gone.
                Sink::Stderr => drop(io::stderr().lock().write_all(&parts.concat())),
            }
        }
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// Where a JSON string ends, given what follows its first quote.
fn end_of_string(text: &[u8]) -> Option<usize> {
    let mut escaped = false;
    text.iter().position(|byte| {
        let end = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        end
    })
}

/// Takes one line.
pub(super) struct LineWriter<'a> {
    lines: &'a Lines,
    own: bool,
}

impl Write for LineWriter<'_> {
    /// The formatter hands over a whole line at once.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match if self.own { None } else { self.lines.tame(line) } {
            Some(tamed) => self.lines.write(&[&tamed]),
            None => self.lines.write(&self.lines.reshape(line)),
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> LineWriter<'a> {
        LineWriter { lines: self, own: false }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> LineWriter<'a> {
        LineWriter { lines: self, own: is_own(metadata.target()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logging::check_line;

    fn lines() -> Lines {
        Lines::new("verbatim", "node \"1\"", Vec::new())
    }

    fn line(message: &str, more: &str) -> String {
        let message = Value::from(message);
        format!(
            "{{\"v\":0,\"name\":\"verbatim\",\"msg\":{message},\"level\":30,\"hostname\":\"\",\"pid\":7,\
             \"time\":\"2026-01-01T00:00:00Z\",\"target\":\"x\"{more}}}\n"
        )
    }

    fn reshaped(text: &str) -> Map<String, Value> {
        let line = lines().reshape(text.as_bytes()).concat();
        check_line(&String::from_utf8(line).unwrap()).unwrap()
    }

    #[test]
    fn the_node_is_named_and_the_span_is_not() {
        for (message, plain) in [
            ("ready", "ready"),
            ("[REQUEST - EVENT] answered", "answered"),
            ("[REQUEST - EVENT] a \"quoted\\\" word", "a \"quoted\\\" word"),
            ("[no span] here", "[no span] here"),
            ("", ""),
        ] {
            let fields = reshaped(&line(message, ",\"seq\":3"));
            assert_eq!(fields["msg"], plain);
            assert_eq!(fields["hostname"], "node \"1\"");
            assert_eq!(
                (&fields["level"], &fields["seq"], &fields["pid"]),
                (&30.into(), &3.into(), &7.into())
            );
        }
    }

    #[test]
    fn a_line_of_another_shape_stays_as_it_is() {
        for text in
            ["", "{}\n", "{\"v\":0,\"name\":\"verbatim\",\"msg\":\"open", "{\"v\":0,\"name\":\"other\"}\n"]
        {
            assert_eq!(lines().reshape(text.as_bytes()).concat(), text.as_bytes());
        }
    }

    #[test]
    fn fields_of_libraries_that_the_index_does_not_know_go_into_the_message() {
        let text = line("[X - EVENT] slow", ",\"db.statement\":\"SELECT 1\",\"status\":\"bad\",\"seq\":3");
        let tamed = String::from_utf8(lines().tame(text.as_bytes()).unwrap()).unwrap();
        let fields = check_line(&tamed).unwrap();
        assert_eq!(fields["msg"], "slow db.statement=\"SELECT 1\" status=\"bad\"");
        assert_eq!((&fields["seq"], fields.contains_key("status")), (&3.into(), false));
        assert_eq!(fields["hostname"], "node \"1\"");
    }
}
