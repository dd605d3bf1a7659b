//! A panel: a rectangle of the page with two axes, into which data are drawn.

use super::axis::{log_ticks, number, ticks};
use super::svg::{Anchor, INK, QUIET, RULE, Style, Svg};

/// Size of tick numbers.
const TICK_SIZE: f64 = 11.0;
/// Size of labels.
const LABEL_SIZE: f64 = 12.0;
/// Size of titles.
pub const TITLE_SIZE: f64 = 13.0;

/// One axis of a panel.
#[derive(Debug, Clone, PartialEq)]
pub struct Scale {
    /// Value at the left or at the bottom.
    pub low: f64,
    /// Value at the right or at the top.
    pub high: f64,
    /// Logarithmic.
    pub log: bool,
    /// What it is, with its unit.
    pub label: String,
}

impl Scale {
    /// A linear axis; ends that make no range are widened.
    pub fn linear(low: f64, high: f64, label: &str) -> Scale {
        let (low, high) = match (low.is_finite(), high.is_finite()) {
            (true, true) if high > low => (low, high),
            (true, _) => (low - 0.5, low + 0.5),
            _ => (0.0, 1.0),
        };
        Scale { low, high, log: false, label: label.into() }
    }

    /// A logarithmic axis over the positive part of a range.
    pub fn logarithmic(low: f64, high: f64, label: &str) -> Scale {
        let high = if high > 0.0 && high.is_finite() { high } else { 1.0 };
        let low = if low > 0.0 && low < high { low } else { high * 1e-4 };
        Scale { low, high, log: true, label: label.into() }
    }

    /// Where a value is, 0 at the low end, 1 at the high end.
    pub fn part(&self, value: f64) -> f64 {
        match self.log {
            true => (value.max(f64::MIN_POSITIVE) / self.low).ln() / (self.high / self.low).ln(),
            false => (value - self.low) / (self.high - self.low),
        }
    }

    fn ticks(&self, wanted: usize) -> Vec<f64> {
        match self.log {
            true => {
                let powers = log_ticks(self.low, self.high);
                if powers.len() < 2 { ticks(self.low, self.high, wanted) } else { powers }
            }
            false => ticks(self.low, self.high, wanted),
        }
    }
}

/// A rectangle with axes. The rectangle is that of the data; ticks and labels stand around it.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// x, y, width, height on the page.
    pub place: [f64; 4],
    /// Horizontal axis.
    pub x: Scale,
    /// Vertical axis.
    pub y: Scale,
    /// What it shows.
    pub title: String,
}

impl Panel {
    /// Where a point of the data is on the page.
    pub fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let [left, top, width, height] = self.place;
        (left + self.x.part(x) * width, top + (1.0 - self.y.part(y)) * height)
    }

    /// Draws faint lines at the ticks of the vertical axis: beneath the data.
    pub fn draw_grid(&self, svg: &mut Svg) {
        let [left, _, width, height] = self.place;
        for tick in self.y.ticks((height / 45.0).max(2.0) as usize) {
            let y = self.at(self.x.low, tick).1;
            svg.line((left, y), (left + width, y), RULE, 1.0, false);
        }
    }

    /// Draws outline, ticks, labels and title: on top of the data.
    pub fn draw_axes(&self, svg: &mut Svg) {
        let [left, top, width, height] = self.place;
        let (right, bottom) = (left + width, top + height);
        for (a, b) in [((left, bottom), (right, bottom)), ((left, top), (left, bottom))] {
            svg.line(a, b, INK, 1.0, false);
        }
        let marks = self.x.ticks((width / 70.0).max(2.0) as usize);
        for &tick in &marks {
            let x = self.at(tick, self.y.low).0;
            svg.line((x, bottom), (x, bottom + 4.0), INK, 1.0, false);
            svg.text((x, bottom + 16.0), Style::plain(TICK_SIZE, Anchor::Middle), &number(tick, &marks));
        }
        let marks = self.y.ticks((height / 45.0).max(2.0) as usize);
        let mut widest = 0.0_f64;
        for &tick in &marks {
            let y = self.at(self.x.low, tick).1;
            let text = number(tick, &marks);
            widest = widest.max(super::svg::width_of(&text, TICK_SIZE));
            svg.line((left - 4.0, y), (left, y), INK, 1.0, false);
            svg.text((left - 7.0, y + 4.0), Style::plain(TICK_SIZE, Anchor::End), &text);
        }
        let middle = (left + width / 2.0, top + height / 2.0);
        let label = Style::plain(LABEL_SIZE, Anchor::Middle);
        svg.text((middle.0, bottom + 34.0), label, &self.x.label);
        svg.text_upwards((left - 16.0 - widest, middle.1), label, &self.y.label);
        self.draw_title(svg);
    }

    /// Draws the title alone.
    pub fn draw_title(&self, svg: &mut Svg) {
        let [left, top, ..] = self.place;
        svg.text((left, top - 9.0), Style::plain(TITLE_SIZE, Anchor::Start).bold(), &self.title);
    }

    /// Draws a quiet word at the right of the title.
    pub fn draw_remark(&self, svg: &mut Svg, remark: &str) {
        let [left, top, width, _] = self.place;
        svg.text((left + width, top - 9.0), Style::plain(TICK_SIZE, Anchor::End).coloured(QUIET), remark);
    }
}
