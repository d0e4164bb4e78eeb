//! The telling: every step as numbered plain text for a person, on standard output.
//!
//! A step says first what is about to be asked, so that a reader sees what hangs if something does; then what
//! was answered, line by line; then how long it took. No colours, so that a log reads like a terminal. A reader
//! who went away (`| head`) changes nothing: the network is stopped in good order all the same.

use std::io::{self, Write};
use std::time::Duration;

use tokio::time::Instant;

/// Tells the play.
#[derive(Debug)]
pub struct Narrator {
    scenario: u32,
    step: u32,
    since: Instant,
}

impl Narrator {
    /// Begins before the first scenario, which has number 0.
    #[must_use]
    pub fn new() -> Self {
        Self { scenario: 0, step: 0, since: Instant::now() }
    }

    /// A line of its own, not part of a step.
    pub fn line(&self, text: &str) {
        // Nobody reads any more: nothing to be done about it, and nothing depends on it.
        let _ = writeln!(io::stdout().lock(), "{text}");
    }

    /// Begins scenario `number`: its steps count from 1.
    pub fn scenario(&mut self, number: u32, title: &str) {
        self.scenario = number;
        self.step = 0;
        self.line(&format!("\n{number}. {title}"));
    }

    /// Begins a step: says what is asked, and starts the clock.
    pub fn step(&mut self, what: &str) {
        self.step += 1;
        self.line(&format!("\n  {}.{} {what}", self.scenario, self.step));
        self.since = Instant::now();
    }

    /// Something that was asked or answered within the step.
    pub fn detail(&self, text: &str) {
        for line in text.lines() {
            self.line(&format!("        {line}"));
        }
    }

    /// Ends the step with what came of it, and says how long it took.
    pub fn done(&self, outcome: &str) {
        self.line(&format!("      = {outcome} [{}]", seconds(self.since.elapsed())));
    }

    /// How long the step has taken so far.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }
}

impl Default for Narrator {
    fn default() -> Self {
        Self::new()
    }
}

/// A duration for a person: milliseconds below a second.
#[must_use]
pub fn seconds(duration: Duration) -> String {
    if duration < Duration::from_millis(100) {
        format!("{:.1} ms", duration.as_secs_f64() * 1_000.0)
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}
