//! Header entries of one frame, in order, in two allocations however many there are.

use std::fmt;

use super::escape::{Escapes, UndefinedEscape};

/// Headers whose values must never reach a log line.
const SECRET: [&str; 2] = ["passcode", "authorization"];

/// The ordered header entries of a frame. A repeated name is kept, and [`get`](Self::get) answers with the first
/// (1.2, Repeated Header Entries). `Debug` hides credentials.
#[derive(Clone, Default)]
pub struct Headers {
    /// Names and values, one after another.
    text: String,
    entries: Vec<Entry>,
}

/// Ends of a name and its value in `text`; an entry starts where the one before ends.
#[derive(Clone, Copy)]
struct Entry {
    name_end: usize,
    value_end: usize,
}

impl Headers {
    /// Appends an entry, as is.
    pub fn push(&mut self, name: &str, value: &str) {
        self.text.push_str(name);
        let name_end = self.text.len();
        self.text.push_str(value);
        self.entries.push(Entry { name_end, value_end: self.text.len() });
    }

    /// Appends an entry read from the wire, resolving the escapes that `rules` define.
    ///
    /// # Errors
    /// The first escape that `rules` do not define; nothing is appended then.
    pub(super) fn push_escaped(
        &mut self,
        name: &str,
        value: &str,
        rules: Escapes,
    ) -> Result<(), UndefinedEscape> {
        let start = self.text.len();
        let mut unescape = || {
            rules.unescape_into(name, &mut self.text)?;
            let name_end = self.text.len();
            rules.unescape_into(value, &mut self.text)?;
            Ok(name_end)
        };
        match unescape() {
            Ok(name_end) => {
                self.entries.push(Entry { name_end, value_end: self.text.len() });
                Ok(())
            }
            Err(error) => {
                self.text.truncate(start);
                Err(error)
            }
        }
    }

    /// The value of the first entry of this name (case-sensitive).
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find_map(|(n, v)| (n == name).then_some(v))
    }

    /// The first value whose name matches without regard to ASCII case: for headers that STOMP does not define and
    /// that clients spell as in HTTP.
    #[must_use]
    pub fn get_ignore_case(&self, name: &str) -> Option<&str> {
        self.iter().find_map(|(n, v)| n.eq_ignore_ascii_case(name).then_some(v))
    }

    /// All entries in the order sent.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut start = 0;
        self.entries.iter().map(move |entry| {
            let name = self.text.get(start..entry.name_end).unwrap_or_default();
            let value = self.text.get(entry.name_end..entry.value_end).unwrap_or_default();
            start = entry.value_end;
            (name, value)
        })
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Octets of all names and values together.
    #[must_use]
    pub fn octets(&self) -> usize {
        self.text.len()
    }

    /// Octets of memory held, for the tests that memory stays bounded.
    pub(super) fn capacity(&self) -> usize {
        self.text.capacity() + self.entries.capacity() * size_of::<Entry>()
    }
}

impl PartialEq for Headers {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Headers {}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.iter().map(|(name, value)| {
            let secret = SECRET.iter().any(|s| name.trim().eq_ignore_ascii_case(s));
            (name, if secret { "(hidden)" } else { value })
        });
        f.debug_list().entries(shown).finish()
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Headers {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(entries: I) -> Self {
        let mut headers = Self::default();
        for (name, value) in entries {
            headers.push(name, value);
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1.2, Repeated Header Entries: "only the first header entry SHOULD be used".
    #[test]
    fn the_first_of_repeated_entries_wins() {
        let headers: Headers = [("foo", "World"), ("bar", ""), ("foo", "Hello")].into_iter().collect();
        assert_eq!(headers.get("foo"), Some("World"));
        assert_eq!(headers.get("bar"), Some(""));
        assert_eq!(headers.get("Foo"), None);
        assert_eq!(headers.iter().count(), 3);
    }

    #[test]
    fn equality_sees_where_a_name_ends() {
        let one: Headers = [("ab", "c")].into_iter().collect();
        let other: Headers = [("a", "bc")].into_iter().collect();
        assert_ne!(one, other);
    }

    #[test]
    fn debug_output_hides_credentials() {
        let headers: Headers = [("passcode", "s3cret"), ("Authorization", "Bearer s3cret"), ("login", "ann")]
            .into_iter()
            .collect();
        let shown = format!("{headers:?}");
        assert!(!shown.contains("s3cret"), "{shown}");
        assert!(shown.contains("ann"), "{shown}");
    }

    #[test]
    fn an_undefined_escape_leaves_nothing_behind() {
        let mut headers = Headers::default();
        assert!(headers.push_escaped("a", "x\\t", Escapes::V1_2).is_err());
        assert_eq!(headers.octets(), 0);
        assert!(headers.push_escaped("a\\c", "\\n", Escapes::V1_2).is_ok());
        assert_eq!(headers.get("a:"), Some("\n"));
    }
}
