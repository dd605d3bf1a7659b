//! A chart of horizontal bars: rates of many ways to do one thing, with a line to compare them with.

use super::axis::{log_ticks, number, ticks};
use super::svg::{Anchor, INK, QUIET, RULE, Style, Svg};

/// One bar.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// What it is.
    pub label: String,
    /// How much.
    pub value: f64,
    /// Give or take.
    pub error: f64,
    /// Which of the groups it belongs to.
    pub group: usize,
}

/// A group of bars: its name and colour.
pub type BarGroup = (&'static str, &'static str);

/// A chart; bars stand in the order given.
#[derive(Debug, Clone, PartialEq)]
pub struct Bars {
    /// What it shows.
    pub title: String,
    /// What a value is, with its unit.
    pub unit: String,
    /// The bars.
    pub bars: Vec<Bar>,
    /// Names and colours of groups, for the legend.
    pub groups: Vec<BarGroup>,
    /// A value to compare with, and its name.
    pub reference: Option<(f64, String)>,
    /// Logarithmic.
    pub log: bool,
}

/// Height of a bar with its space.
const ROW: f64 = 22.0;
/// Width of the page.
const WIDTH: f64 = 980.0;

impl Bars {
    /// Draws the chart.
    pub fn draw(&self) -> Svg {
        let longest = self.bars.iter().map(|b| b.label.chars().count()).max().unwrap_or(0);
        let left = (longest as f64 * 7.0 + 24.0).clamp(120.0, 430.0);
        let (top, plot) = (76.0, WIDTH - left - 110.0);
        let height = top + ROW * self.bars.len() as f64 + 56.0;
        let bottom = height - 52.0;
        let mut svg = Svg::new(WIDTH, height);
        svg.text((18.0, 28.0), Style::plain(16.0, Anchor::Start).bold(), &self.title);

        let values = || self.bars.iter().map(|b| b.value).filter(|v| v.is_finite() && *v > 0.0);
        let reference = self.reference.as_ref().map(|(value, _)| *value);
        let high = values().chain(reference).fold(1e-12, f64::max) * if self.log { 1.6 } else { 1.1 };
        let low = match self.log {
            true => 10_f64.powf(values().chain(reference).fold(high, f64::min).log10().floor()),
            false => 0.0,
        };
        let part = |value: f64| match self.log {
            true => ((value / low).ln() / (high / low).ln()).max(0.0),
            false => value / high,
        };
        let at = |value: f64| left + part(value).clamp(0.0, 1.0) * plot;
        let marks = if self.log { log_ticks(low, high) } else { ticks(low, high, 6) };
        for &mark in &marks {
            svg.line((at(mark), top - 6.0), (at(mark), bottom), RULE, 1.0, false);
            let text = if self.log && mark >= 1.0 { grouped(mark) } else { number(mark, &marks) };
            svg.text((at(mark), bottom + 16.0), Style::plain(11.0, Anchor::Middle), &text);
        }
        svg.text((left + plot / 2.0, bottom + 36.0), Style::plain(12.0, Anchor::Middle), &self.unit);
        for (i, bar) in self.bars.iter().enumerate() {
            let y = top + ROW * i as f64;
            let colour = self.groups.get(bar.group).map_or(INK, |group| group.1);
            svg.text((left - 8.0, y + 13.0), Style::plain(11.5, Anchor::End), &bar.label);
            svg.rect([left, y + 2.0, at(bar.value) - left, ROW - 7.0], colour, None);
            if bar.error > 0.0 && bar.value > bar.error {
                let middle = y + 2.0 + (ROW - 7.0) / 2.0;
                svg.line(
                    (at(bar.value - bar.error), middle),
                    (at(bar.value + bar.error), middle),
                    INK,
                    1.2,
                    false,
                );
            }
            let place = (at(bar.value + bar.error.max(0.0)) + 6.0, y + 13.0);
            svg.text(place, Style::plain(11.0, Anchor::Start), &grouped(bar.value));
        }
        if let Some((value, name)) = &self.reference {
            svg.line((at(*value), top - 6.0), (at(*value), bottom), "#b91c1c", 1.5, true);
            svg.text(
                (at(*value) + 4.0, top - 10.0),
                Style::plain(11.0, Anchor::Start).coloured("#b91c1c"),
                name,
            );
        }
        let mut x = 18.0;
        for (name, colour) in &self.groups {
            svg.rect([x, 42.0, 11.0, 11.0], colour, None);
            svg.text((x + 16.0, 52.0), Style::plain(11.5, Anchor::Start).coloured(QUIET), name);
            x += 34.0 + super::svg::width_of(name, 11.5);
        }
        svg
    }
}

/// A rate with thin spaces between thousands.
fn grouped(value: f64) -> String {
    if !value.is_finite() {
        return "–".into();
    }
    let digits = format!("{:.*}", if value.abs() < 100.0 { 1 } else { 0 }, value);
    let (whole, rest) = digits.split_once('.').map_or((digits.as_str(), ""), |(w, r)| (w, r));
    let mut text = String::new();
    for (i, c) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i) % 3 == 0 && whole.as_bytes()[i - 1].is_ascii_digit() {
            text.push('\u{a0}');
        }
        text.push(c);
    }
    if rest.is_empty() || rest == "0" { text } else { format!("{text}.{rest}") }
}
