//! Telling a person how far a run is: a bar on a terminal, plain lines in a log, nothing when asked to be quiet.
//!
//! Everything goes to stderr, so that stdout holds only what a command was asked to print.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::args::Saying;
use super::say;
use crate::frame::{BadFrame, Outcome};
use crate::pipeline::Watch;

/// In a log: one line this often, so that a night's run does not fill a screen.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// Bad frames that are named one by one while running; the rest are counted and are in the output.
const NAMED_BAD_FRAMES: usize = 20;

/// How much to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors only.
    Quiet,
    /// Progress, warnings and the closing summary.
    Normal,
    /// Also what was decided and why.
    Verbose,
}

impl Verbosity {
    /// What the options ask for.
    pub fn of(saying: Saying) -> Verbosity {
        match saying {
            Saying { quiet: true, .. } => Verbosity::Quiet,
            Saying { verbose: true, .. } => Verbosity::Verbose,
            Saying { .. } => Verbosity::Normal,
        }
    }
}

/// Progress of one run.
pub struct ProgressLine {
    verbosity: Verbosity,
    /// What is counted.
    what: &'static str,
    bar: Option<ProgressBar>,
    total: usize,
    start: Instant,
    last_line: Instant,
    bad: usize,
}

impl ProgressLine {
    /// Progress towards `total` frames.
    pub fn new(total: usize, verbosity: Verbosity) -> ProgressLine {
        ProgressLine::counting(total, "frames", verbosity)
    }

    /// Progress towards `total` of something else.
    pub fn counting(total: usize, what: &'static str, verbosity: Verbosity) -> ProgressLine {
        let on_terminal = say::to_terminal() && verbosity > Verbosity::Quiet;
        let bar = on_terminal.then(|| {
            let bar =
                ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr_with_hz(10));
            let template = format!("{{wide_bar}} {{pos}}/{{len}} {what}  {{per_sec}}  {{eta}} left");
            if let Ok(style) = ProgressStyle::with_template(&template) {
                let rate = move |s: &indicatif::ProgressState, w: &mut dyn std::fmt::Write| {
                    let _ = write!(w, "{:.0} {what}/s", s.per_sec());
                };
                bar.set_style(style.with_key("per_sec", rate).progress_chars("━╸ "));
            }
            bar
        });
        let now = Instant::now();
        ProgressLine { verbosity, what, bar, total, start: now, last_line: now, bad: 0 }
    }

    /// One more frame is done.
    pub fn step(&mut self, done: usize, bad: Option<&BadFrame>) {
        if let Some(bad) = bad {
            self.bad += 1;
            if self.bad <= NAMED_BAD_FRAMES {
                self.say(&format!("bad frame {}: {}", bad.id.0, bad.message));
            } else if self.bad == NAMED_BAD_FRAMES + 1 {
                self.say("more bad frames: the rest is listed in the output only");
            }
        }
        if let Some(bar) = &self.bar {
            bar.set_position(done as u64);
        } else if self.verbosity > Verbosity::Quiet && self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            let rate = done as f64 / self.start.elapsed().as_secs_f64();
            let left = (self.total - done) as f64 / rate;
            say::note(&format!(
                "{done}/{} {what}  {rate:.0} {what}/s  {left:.0} s left",
                self.total,
                what = self.what
            ));
        }
    }

    /// A line beside the bar.
    fn say(&self, line: &str) {
        match (&self.bar, self.verbosity) {
            (_, Verbosity::Quiet) => {}
            (Some(bar), _) => bar.suspend(|| say::note(line)),
            (None, _) => say::note(line),
        }
    }

    /// Takes the bar away.
    pub fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Watch for ProgressLine {
    fn see(&mut self, done: usize, outcome: &Outcome) {
        self.step(done, outcome.as_ref().err());
    }

    fn hear(&mut self, news: &str) {
        self.say(&format!("warning: {news}"));
    }

    fn note(&mut self, note: &str) {
        if self.verbosity >= Verbosity::Verbose {
            self.say(note);
        }
    }
}
