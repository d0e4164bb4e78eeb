//! Showing how far a long walk over the journal has come: a bar on a terminal, a log line every few seconds
//! elsewhere, nothing at all for a walk that is soon over.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use printsy_ledger::Progress;

/// A walk shorter than this shows nothing.
const SILENCE: Duration = Duration::from_millis(700);
/// How often a line is logged where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows the progress of one walk.
#[derive(Debug)]
pub struct Reporter {
    what: &'static str,
    began: Instant,
    next_at: Duration,
    bar: Option<ProgressBar>,
}

impl Reporter {
    /// For a walk that does `what`: a participle, such as "applying the journal".
    #[must_use]
    pub fn new(what: &'static str) -> Self {
        let next_at = if std::io::stderr().is_terminal() { SILENCE } else { LINE_EVERY };
        Self { what, began: now(), next_at, bar: None }
    }

    /// The walk has come this far.
    pub fn tell(&mut self, progress: Progress) {
        let elapsed = self.elapsed();
        if elapsed < self.next_at {
            return;
        }
        if std::io::stderr().is_terminal() {
            self.draw(progress);
            self.next_at = elapsed + Duration::from_millis(100);
        } else {
            let rate = per_second(progress.transactions, elapsed);
            let percent = percent(progress);
            tracing::info!(
                height = progress.height,
                percent,
                transactions_per_second = rate,
                "{}",
                self.what
            );
            self.next_at = elapsed + LINE_EVERY;
        }
    }

    /// How long the walk has taken.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        now().duration_since(self.began)
    }

    fn draw(&mut self, progress: Progress) {
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(Some(progress.total), ProgressDrawTarget::stderr());
            let style = "{msg} {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}";
            bar.set_style(ProgressStyle::with_template(style).expect("the template is right as it stands"));
            bar
        });
        bar.set_position(progress.done);
        bar.set_message(format!("{}: height {}", self.what, progress.height));
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// How many a second, in whole numbers.
#[must_use]
pub fn per_second(count: u64, elapsed: Duration) -> u64 {
    let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
    count.saturating_mul(1_000) / millis
}

fn percent(progress: Progress) -> u64 {
    progress.done.saturating_mul(100).checked_div(progress.total).unwrap_or(100)
}

#[expect(clippy::disallowed_methods, reason = "a rate for people; nothing is decided by it")]
fn now() -> Instant {
    Instant::now()
}
