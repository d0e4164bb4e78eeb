//! The one plain report that each campaign ends with: numbers by name, in the order in which they were added.

use std::fmt;

use serde_json::{Map, Value};

/// Numbers of a campaign.
#[derive(Clone, Debug)]
pub struct Report {
    name: &'static str,
    numbers: Vec<(String, String)>,
}

impl Report {
    /// An empty one, with the campaign's name.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self { name, numbers: Vec::new() }
    }

    /// Adds a number.
    pub fn add(&mut self, what: &str, number: impl fmt::Display) {
        self.numbers.push((what.to_owned(), number.to_string()));
    }

    /// The number by its name, if it is one.
    #[must_use]
    pub fn number(&self, what: &str) -> Option<u64> {
        self.numbers.iter().find(|(name, _)| name == what).and_then(|(_, number)| number.parse().ok())
    }

    /// As a JSON object: `{"campaign": ..., "kills": 20, ...}`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut map = Map::new();
        map.insert("campaign".to_owned(), self.name.into());
        for (what, number) in &self.numbers {
            let value = number.parse::<u64>().map_or_else(|_| number.as_str().into(), Value::from);
            map.insert(what.clone(), value);
        }
        Value::Object(map)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.name)?;
        let width = self.numbers.iter().map(|(what, _)| what.len()).max().unwrap_or(0);
        self.numbers.iter().try_for_each(|(what, number)| writeln!(f, "  {what:<width$}  {number:>10}"))
    }
}
