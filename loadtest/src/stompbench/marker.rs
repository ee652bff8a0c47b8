//! What a message carries so that its delivery can be recognised: `@@run:publisher:number:micros@@`.

/// Identity and birth of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker {
    /// The run it belongs to.
    pub run: u64,
    /// Index of the publisher.
    pub publisher: u64,
    /// Number within that publisher, from 0.
    pub number: u64,
    /// When it was due, in microseconds of the run's clock.
    pub micros: u64,
}

/// Marker text, padded with `x` to `size` bytes.
pub fn write(marker: Marker, size: usize) -> String {
    let Marker { run, publisher, number, micros } = marker;
    let mut text = format!("@@{run}:{publisher}:{number}:{micros}@@");
    while text.len() < size {
        text.push('x');
    }
    text
}

/// All markers in a text, in order; what merely looks like one is skipped.
pub fn read(text: &str) -> impl Iterator<Item = Marker> {
    text.split("@@").skip(1).step_by(2).filter_map(|part| {
        let mut fields = part.split(':').map(str::parse);
        let mut field = || fields.next()?.ok();
        let marker = Marker { run: field()?, publisher: field()?, number: field()?, micros: field()? };
        fields.next().is_none().then_some(marker)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_survive_being_wrapped_and_put_side_by_side() {
        let one = Marker { run: 4, publisher: 1, number: 7, micros: 99 };
        let two = Marker { number: 8, ..one };
        let text = format!("{{\"body\":\"{}\"}}\0MESSAGE {}", write(one, 50), write(two, 0));
        assert_eq!(read(&text).collect::<Vec<_>>(), [one, two]);
        assert_eq!(write(one, 50).len(), 50);
        assert_eq!(read("@@1:2@@ @@1:2:3:4:5@@ @@x@@").count(), 0);
    }
}
