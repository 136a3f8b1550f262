//! Showing a run: plain lines, or, on a terminal, with colours and progress, as fast as people can follow.

use std::io::{self, IsTerminal, Write};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use mantissa_mr_core::sim::TrueTime;

use super::text::{WIDTH, clock};
use super::timeline::{Kind, Line, Progress, Timeline};

/// Where rows go. Nobody who stops reading breaks the drill: its exit code still counts.
#[derive(Debug)]
pub(crate) enum Show {
    /// Nothing is shown until the end.
    Silent,
    Plain,
    Live(Box<Live>),
}

/// The lines scroll; below them the time goes on, and the steps of a move.
#[derive(Debug)]
pub(crate) struct Live {
    bars: MultiProgress,
    time: ProgressBar,
    steps: Option<ProgressBar>,
    colours: bool,
}

impl Show {
    pub(crate) fn new(silent: bool, ends: TrueTime) -> Self {
        match silent {
            true => Self::Silent,
            false if io::stdout().is_terminal() => Self::Live(Box::new(Live::new(ends))),
            false => Self::Plain,
        }
    }

    pub(crate) fn is_live(&self) -> bool {
        matches!(self, Self::Live(_))
    }

    pub(crate) fn rows(&self, rows: &[String]) {
        match self {
            Self::Silent => {}
            Self::Plain => print(rows),
            Self::Live(live) => live.rows(rows, None),
        }
    }

    pub(crate) fn line(&self, line: &Line) {
        match self {
            Self::Silent => {}
            Self::Plain => print(&line.rows()),
            Self::Live(live) => live.rows(&line.rows(), Some(line.kind)),
        }
    }

    /// Brings the bars up to date.
    pub(crate) fn progress(&mut self, now: TrueTime, timeline: &Timeline) {
        if let Self::Live(live) = self {
            live.progress(now, timeline);
        }
    }

    /// Takes the bars away.
    pub(crate) fn end(&mut self) {
        if let Self::Live(live) = self {
            live.show_steps(None);
            live.time.finish_and_clear();
        }
    }
}

/// Writes rows, all at once, to the standard output.
pub(crate) fn print(rows: &[String]) {
    let mut text = rows.join("\n");
    text.push('\n');
    let mut out = io::stdout().lock();
    // A reader that went away has seen enough.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

impl Live {
    fn new(ends: TrueTime) -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stdout_with_hz(20));
        let time = bars.add(ProgressBar::new(ends.as_nanos() / 1_000_000));
        time.set_style(style("{prefix:>7}  [{bar:24}] {msg}"));
        Self { bars, time, steps: None, colours: std::env::var_os("NO_COLOR").is_none() }
    }

    fn rows(&self, rows: &[String], kind: Option<Kind>) {
        for row in rows {
            let shown = match kind.and_then(colour).filter(|_| self.colours) {
                Some(colour) => format!("\u{1b}[{colour}m{row}\u{1b}[0m"),
                None => row.clone(),
            };
            let _ = self.bars.println(shown);
        }
    }

    fn progress(&mut self, now: TrueTime, timeline: &Timeline) {
        let (acknowledged, refused) = timeline.writes();
        let serves = match timeline.active() {
            [] => "nobody serves".to_owned(),
            [one] => format!("{one} serves"),
            all => format!("{} regions serve", all.len()),
        };
        self.time.set_position(now.as_nanos() / 1_000_000);
        self.time.set_prefix(clock(now));
        let text = format!("{serves}, {acknowledged} acknowledged, {refused} refused");
        // Prefix, brackets, bar and spaces take 37 columns.
        self.time.set_message(cut(&text, WIDTH - 37));
        self.show_steps(timeline.progress());
    }

    fn show_steps(&mut self, progress: Option<&Progress>) {
        let Some(Progress { kind, done, steps }) = progress else {
            if let Some(bar) = self.steps.take() {
                bar.finish_and_clear();
            }
            return;
        };
        let bar = self.steps.get_or_insert_with(|| {
            let bar = self.bars.add(ProgressBar::new(*steps));
            bar.set_style(style("         [{bar:24}] {msg}"));
            bar
        });
        bar.set_length(*steps);
        bar.set_position(*done);
        bar.set_message(cut(&format!("{kind}: {done} of {steps} steps"), WIDTH - 37));
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("=> ")
}

fn cut(text: &str, width: usize) -> String {
    text.chars().take(width).collect()
}

/// The colour of a kind of line, as a terminal takes it.
fn colour(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::World => Some("1;31"),
        Kind::Person => Some("1;36"),
        Kind::Library => None,
        Kind::Gate => Some("33"),
        Kind::Clients => Some("32"),
    }
}

/// Lets virtual time pass so fast and no faster.
#[derive(Debug)]
pub(crate) struct Pace {
    begin: Instant,
    /// Virtual seconds per real second; none is as fast as it goes.
    speed: Option<f64>,
    next_frame: TrueTime,
}

/// From one picture to the next.
const FRAME: Duration = Duration::from_millis(50);

impl Pace {
    pub(crate) fn new(speed: Option<f64>) -> Self {
        Self { begin: Instant::now(), speed, next_frame: TrueTime::START }
    }

    /// Waits until a virtual time may be reached; says whether a new picture is due.
    pub(crate) fn reach(&mut self, at: TrueTime) -> bool {
        let Some(speed) = self.speed else { return false };
        if at < self.next_frame {
            return false;
        }
        let due = Duration::try_from_secs_f64(at.since(TrueTime::START).as_secs_f64() / speed);
        let wait = due.unwrap_or(Duration::MAX).saturating_sub(self.begin.elapsed());
        thread::sleep(wait);
        self.next_frame = at + FRAME.mul_f64(speed.min(1e6));
        true
    }
}
