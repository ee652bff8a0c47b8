//! One measured figure beside its target, and the table of them.

use serde::Serialize;
use std::fmt;

/// What a figure must reach.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// At least this.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
    /// `verbatim` divided by the comparison is at least this.
    RatioAtLeast(f64),
    /// `verbatim` divided by the comparison is at most this.
    RatioAtMost(f64),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(value) => write!(f, ">= {}", number(*value)),
            Self::AtMost(value) => write!(f, "<= {}", number(*value)),
            Self::RatioAtLeast(value) => write!(f, "ratio >= {value:.2}"),
            Self::RatioAtMost(value) => write!(f, "ratio <= {value:.2}"),
        }
    }
}

/// A measured figure.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// Scenario and variant.
    pub name: String,
    /// What is counted, with its unit.
    pub unit: &'static str,
    /// Each run of verbatim.
    pub runs: Vec<f64>,
    /// What it is compared with, and each run of that.
    pub comparison: Option<(&'static str, Vec<f64>)>,
    /// What must be reached.
    pub target: Target,
    /// The command that measured it.
    pub command: String,
    /// What else was seen: losses, processor time.
    pub notes: Vec<String>,
}

impl Figure {
    /// Median of the runs of verbatim.
    pub fn value(&self) -> f64 {
        median(&self.runs)
    }

    /// Median of the comparison's runs.
    pub fn compared(&self) -> Option<f64> {
        self.comparison.as_ref().map(|(_, runs)| median(runs))
    }

    /// `verbatim` divided by the comparison.
    pub fn ratio(&self) -> Option<f64> {
        self.compared().filter(|other| *other > 0.0).map(|other| self.value() / other)
    }

    /// Whether the target is reached; a run without a result reaches none.
    pub fn met(&self) -> bool {
        let value = self.value();
        match self.target {
            Target::AtLeast(target) => value >= target,
            Target::AtMost(target) => value > 0.0 && value <= target,
            Target::RatioAtLeast(target) => self.ratio().is_some_and(|ratio| ratio >= target),
            Target::RatioAtMost(target) => self.ratio().is_some_and(|ratio| ratio > 0.0 && ratio <= target),
        }
    }
}

/// All figures with what is derived from them, for `--json`.
pub fn json(figures: &[Figure]) -> serde_json::Value {
    let row = |figure: &Figure| {
        serde_json::json!({
            "figure": figure, "value": figure.value(), "compared": figure.compared(), "ratio": figure.ratio(),
            "met": figure.met(),
        })
    };
    figures.iter().map(row).collect()
}

/// The middle one, or the mean of the two in the middle; 0 of nothing.
pub(super) fn median(runs: &[f64]) -> f64 {
    let mut sorted = runs.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let at = |index: usize| sorted.get(index).copied().unwrap_or(0.0);
    if sorted.len().is_multiple_of(2) && middle > 0 {
        f64::midpoint(at(middle - 1), at(middle))
    } else {
        at(middle)
    }
}

/// All figures as a table in Markdown, then the commands and notes.
pub fn table(figures: &[Figure]) -> String {
    let mut out = String::from("| scenario | unit | verbatim | compared with | ratio | target | met |\n");
    out.push_str("|---|---|---:|---:|---:|---|---|\n");
    for figure in figures {
        let compared = match (&figure.comparison, figure.compared()) {
            (Some((name, _)), Some(value)) => format!("{name} {}", number(value)),
            _ => String::new(),
        };
        let ratio = figure.ratio().map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
        let met = if figure.met() { "yes" } else { "NO" };
        let (name, unit, value, target) = (&figure.name, figure.unit, number(figure.value()), figure.target);
        out.push_str(&format!("| {name} | {unit} | {value} | {compared} | {ratio} | {target} | {met} |\n"));
    }
    for figure in figures {
        out.push_str(&format!("\n{}: {}\n", figure.name, figure.command));
        figure.notes.iter().for_each(|note| out.push_str(&format!("  {note}\n")));
    }
    out
}

/// Whole numbers from 100 on, else two decimals.
fn number(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(runs: &[f64], other: Option<&[f64]>, target: Target) -> Figure {
        Figure {
            name: "x".into(),
            unit: "a second",
            runs: runs.to_vec(),
            comparison: other.map(|runs| ("y", runs.to_vec())),
            target,
            command: "measure".into(),
            notes: vec!["note".into()],
        }
    }

    #[test]
    fn compares_medians_with_the_target() {
        assert_eq!(
            [median(&[]), median(&[3.0]), median(&[9.0, 1.0, 2.0]), median(&[1.0, 3.0])],
            [0.0, 3.0, 2.0, 2.0]
        );
        let fast = figure(&[50.0, 20.0, 21.0], Some(&[100.0, 99.0, 2.0]), Target::RatioAtLeast(0.2));
        assert!(fast.met() && fast.ratio().is_some_and(|ratio| ratio > 0.21 && ratio < 0.22));
        assert!(!figure(&[50.0], Some(&[]), Target::RatioAtMost(1.3)).met(), "no comparison");
        assert!(!figure(&[], None, Target::AtMost(20.0)).met(), "no result");
        assert!(figure(&[19.0], None, Target::AtMost(20.0)).met());
    }

    #[test]
    fn the_table_says_what_was_missed() {
        let text = table(&[figure(&[10.0], Some(&[100.0]), Target::RatioAtLeast(0.2))]);
        assert!(text.contains("| x | a second | 10.00 | y 100 | 0.10 | ratio >= 0.20 | NO |"), "{text}");
        assert!(text.contains("x: measure\n  note"), "{text}");
    }
}
