//! What people and programs are told: log lines, and on a terminal a line that stays.
//!
//! A line is an event with fields, as the node's are: text on standard error, or with `--json` one object on standard
//! output. What an event is called never changes once shipped, so that programs may match on it. No secret is a
//! field of any.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::{MakeWriter, layer};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::desk::{Fact, What};
use crate::exit::Failure;

/// How often the staying line's sign of life moves.
const TICK: Duration = Duration::from_millis(250);

/// Tells.
#[derive(Clone, Debug)]
pub struct Teller {
    bar: Option<ProgressBar>,
}

impl Teller {
    /// Sends the events that pass `filter` where they belong.
    ///
    /// # Errors
    /// A filter that is none.
    pub fn install(filter: &str, json: bool) -> Result<Self, Failure> {
        let usage = |_| Failure::Usage(format!("{filter:?} is no log filter; give one like info or debug"));
        let filter = EnvFilter::builder().parse(filter).map_err(usage)?;
        let registry = tracing_subscriber::registry().with(filter);
        let installed = |result: Result<(), _>| {
            result.map_err(|error| Failure::Runtime(format!("cannot install the logs: {error}")))
        };
        if json {
            let lines = layer().json().flatten_event(true).with_writer(io::stdout);
            installed(registry.with(lines).try_init())?;
            return Ok(Self { bar: None });
        }
        let is_terminal = io::stderr().is_terminal();
        let bar = is_terminal.then(staying_line);
        let lines = layer().with_target(false).with_ansi(is_terminal).with_writer(Lines { bar: bar.clone() });
        installed(registry.with(lines).try_init())?;
        Ok(Self { bar })
    }

    /// What the staying line says, where there is one.
    pub fn status(&self, text: impl FnOnce() -> String) {
        if let Some(bar) = &self.bar {
            bar.set_message(text());
        }
    }

    /// Whether there is a staying line: without one, a summary is logged now and then.
    #[must_use]
    pub fn has_status(&self) -> bool {
        self.bar.is_some()
    }

    /// Takes the staying line away.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn staying_line() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(
        ProgressStyle::with_template("{spinner} {msg}").expect("the template is right as it stands"),
    );
    bar.enable_steady_tick(TICK);
    bar
}

/// Writes lines to standard error, above the staying line.
struct Lines {
    bar: Option<ProgressBar>,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Above;

    fn make_writer(&'a self) -> Above {
        Above { bar: self.bar.clone() }
    }
}

/// One writing.
struct Above {
    bar: Option<ProgressBar>,
}

impl Write for Above {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &self.bar {
            Some(bar) => bar.suspend(|| io::stderr().write(bytes)),
            None => io::stderr().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Tells what became of a block.
pub fn block(fact: &Fact) {
    let Fact { what, height, hash } = fact;
    match what {
        What::Found { wait_ms: 0 } => tracing::info!(height, %hash, "block found"),
        What::Found { wait_ms } => {
            tracing::info!(height, %hash, wait_ms, "block found, kept until its time");
        }
        What::Accepted => tracing::info!(height, %hash, "block accepted"),
        What::Held => tracing::info!(height, %hash, "block held by the node until its time"),
        What::Stale => tracing::warn!(height, %hash, "block stale: the chain had gone on"),
        What::Duplicate => {
            tracing::warn!(height, %hash, "block known already: does another machine mine with this key?");
        }
        What::Refused { rule, reason } => {
            tracing::error!(height, %hash, rule, reason, "block refused");
        }
        What::Lost { reason } => tracing::warn!(height, %hash, reason, "block lost"),
        What::Wrong => tracing::error!(height, "a find that does no work: this machine computes wrongly"),
    }
}

/// A rate for people: `3.21 MH/s`.
#[must_use]
pub fn rate(per_second: u64) -> String {
    let units = [(1_000_000_000_000, "TH/s"), (1_000_000_000, "GH/s"), (1_000_000, "MH/s"), (1_000, "kH/s")];
    match units.into_iter().find(|(unit, _)| per_second >= *unit) {
        Some((unit, name)) => {
            let hundredths = u128::from(per_second) * 100 / u128::from(unit);
            format!("{}.{:02} {name}", hundredths / 100, hundredths % 100)
        }
        None => format!("{per_second} H/s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_written_for_people() {
        for (per_second, text) in [
            (0, "0 H/s"),
            (999, "999 H/s"),
            (1_000, "1.00 kH/s"),
            (3_219_999, "3.21 MH/s"),
            (u64::MAX, "18446744.07 TH/s"),
        ] {
            assert_eq!(rate(per_second), text);
        }
    }
}
