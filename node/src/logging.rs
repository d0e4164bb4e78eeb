//! Structured logs on standard error, as text for people or as JSON lines for machines.
//!
//! Installed once, by `main`, after the configuration is known: what is wrong before that is the program's one
//! error line. What is logged can be changed while the process runs, through the [`LogControl`] that installing gives.
//! Standard output is kept for data. Nothing secret is ever a field of an event, so no filter has
//! to hide any.

use std::io::IsTerminal;
use std::str::FromStr;
use std::sync::Arc;

use parking_lot::Mutex;
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry};

use crate::exit::Failure;

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(()),
        }
    }
}

/// Whether `text` is a filter: a level (`info`), or levels by target (`info,printsy_p2p=debug`).
#[must_use]
pub fn is_filter(text: &str) -> bool {
    !text.trim().is_empty() && parse(text).is_some()
}

/// Changes what a running process logs. Cloning shares it.
#[derive(Clone, Debug)]
pub struct LogControl {
    handle: reload::Handle<EnvFilter, Registry>,
    filter: Arc<Mutex<String>>,
}

impl LogControl {
    /// Logs what passes `filter` from now on, and answers the filter before; `None` where it is no filter.
    #[must_use]
    pub fn set(&self, filter: &str) -> Option<String> {
        let parsed = parse(filter).filter(|_| is_filter(filter))?;
        let mut current = self.filter.lock();
        self.handle.reload(parsed).ok()?;
        Some(std::mem::replace(&mut current, filter.to_owned()))
    }

    /// A control, and the layer that it controls.
    fn new(filter: &str, parsed: EnvFilter) -> (Self, reload::Layer<EnvFilter, Registry>) {
        let (layer, handle) = reload::Layer::new(parsed);
        (Self { handle, filter: Arc::new(Mutex::new(filter.to_owned())) }, layer)
    }
}

/// Sends the events of this process that pass `filter` to standard error.
///
/// # Errors
/// A filter that is none, or logs that were installed before.
pub fn install(filter: &str, format: LogFormat) -> Result<LogControl, Failure> {
    let parsed = parse(filter).ok_or_else(|| Failure::Config(format!("{filter:?} is no log filter")))?;
    let (control, layered) = LogControl::new(filter, parsed);
    let registry = tracing_subscriber::registry().with(layered);
    let installed = match format {
        LogFormat::Text => {
            let colours = std::io::stderr().is_terminal();
            registry.with(layer().with_writer(std::io::stderr).with_ansi(colours)).try_init()
        }
        LogFormat::Json => {
            let lines = layer().json().flatten_event(true).with_writer(std::io::stderr);
            registry.with(lines).try_init()
        }
    };
    installed.map(|()| control).map_err(|error| Failure::Runtime(format!("cannot install the logs: {error}")))
}

fn parse(text: &str) -> Option<EnvFilter> {
    EnvFilter::builder().parse(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_logged_changes_while_the_process_runs_and_nonsense_changes_nothing() {
        let (control, layered) = LogControl::new("warn", parse("warn").unwrap());
        let registry = tracing_subscriber::registry().with(layered);
        tracing::subscriber::with_default(registry, || {
            assert!(!tracing::enabled!(tracing::Level::DEBUG));
            assert_eq!(control.set("debug").as_deref(), Some("warn"));
            assert!(tracing::enabled!(tracing::Level::DEBUG));
            assert_eq!(control.set("info,printsy_p2p=loudly"), None);
            assert_eq!(control.set(""), None);
            assert_eq!(control.set("off").as_deref(), Some("debug"));
            assert!(!tracing::enabled!(tracing::Level::ERROR));
        });
    }

    #[test]
    fn levels_and_levels_by_target_are_filters_and_nonsense_is_not() {
        for text in ["info", "debug", "off", "info,printsy_p2p=debug", "warn,printsy_node::core=trace"] {
            assert!(is_filter(text), "{text}");
        }
        for text in ["", "  ", "info,printsy_p2p=loudly", "=", "a=b=c"] {
            assert!(!is_filter(text), "{text}");
        }
    }
}
