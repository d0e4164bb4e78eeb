//! The one table that a run ends with.

use std::fmt;

use serde_json::{Value, json};

/// What was measured, against its bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What.
    pub what: String,
    /// The figure.
    pub got: f64,
    /// What it must not exceed; none for what is told for information.
    pub bar: Option<f64>,
    /// The unit of both, for people.
    pub unit: &'static str,
}

impl Row {
    /// A figure with a bar.
    #[must_use]
    pub fn barred(what: impl Into<String>, got: f64, bar: f64, unit: &'static str) -> Self {
        Self { what: what.into(), got, bar: Some(bar), unit }
    }

    /// A figure for information.
    #[must_use]
    pub fn told(what: impl Into<String>, got: f64, unit: &'static str) -> Self {
        Self { what: what.into(), got, bar: None, unit }
    }

    /// Whether the bar is met, if there is one.
    #[must_use]
    pub fn is_met(&self) -> Option<bool> {
        self.bar.map(|bar| self.got <= bar)
    }

    /// As a JSON object.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({ "what": self.what, "got": self.got, "bar": self.bar, "unit": self.unit, "met": self.is_met() })
    }
}

/// Rows, for people.
#[derive(Clone, Debug, Default)]
pub struct Table(pub Vec<Row>);

impl Table {
    /// Whether every bar is met.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.0.iter().all(|row| row.is_met() != Some(false))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.0.iter().map(|row| row.what.chars().count()).max().unwrap_or(0);
        writeln!(f, "{:<width$}  {:>10}  {:>10}  {:<4}", "", "got", "bar", "")?;
        for row in &self.0 {
            let bar = row.bar.map_or_else(String::new, |bar| format!("{bar:.2}"));
            let met = match row.is_met() {
                Some(true) => "met",
                Some(false) => "NOT MET",
                None => "",
            };
            writeln!(f, "{:<width$}  {:>10.3}  {bar:>10}  {:<4} {met}", row.what, row.got, row.unit)?;
        }
        Ok(())
    }
}

/// The value that so many percent do not exceed.
///
/// # Panics
/// Without values.
#[must_use]
pub fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut values = values.to_vec();
    values.sort_unstable_by(f64::total_cmp);
    let at = (values.len() * percent).div_ceil(100).saturating_sub(1);
    values[at.min(values.len() - 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!([50, 99, 100].map(|percent| percentile(&values, percent)), [50.0, 99.0, 100.0]);
        assert_eq!(percentile(&[7.0], 99), 7.0);
    }

    #[test]
    fn a_bar_is_met_up_to_the_bar_itself() {
        let row = |got| Row::barred("x", got, 5.0, "ms").is_met();
        assert_eq!((row(5.0), row(5.1)), (Some(true), Some(false)));
        assert!(Table(vec![Row::told("y", 9.0, "ms")]).is_met());
    }
}
