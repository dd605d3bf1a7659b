//! Axes: where ticks go, and numbers and units as people write them.

use crate::geometry::letters::raised;
pub use crate::geometry::letters::{ends, label, unit, with_unit};

/// Round places for about `wanted` ticks between two ends; none when there is nothing between them.
pub fn ticks(low: f64, high: f64, wanted: usize) -> Vec<f64> {
    let span = high - low;
    if !span.is_finite() || span <= 0.0 || span <= low.abs().max(high.abs()) * 1e-12 {
        return if low.is_finite() && low == high { vec![low] } else { vec![] };
    }
    let rough = span / wanted.max(1) as f64;
    if !rough.is_normal() {
        // So near together that there are no numbers between them.
        return vec![low];
    }
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|m| m * power)
        .find(|s| *s >= rough * 0.999)
        .unwrap_or(10.0 * power);
    if !step.is_normal() {
        return vec![low];
    }
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last).map(|i| i as f64 * step).collect()
}

/// The powers of ten between two ends.
pub fn log_ticks(low: f64, high: f64) -> Vec<f64> {
    if !(low > 0.0 && high > low && high.is_finite()) {
        return vec![];
    }
    let (first, last) = ((low.log10() - 1e-9).ceil() as i32, (high.log10() + 1e-9).floor() as i32);
    (first..=last).map(|p| 10_f64.powi(p)).collect()
}

/// A tick's number, with no more digits than its neighbours need.
pub fn number(value: f64, ticks: &[f64]) -> String {
    let step = ticks.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(f64::INFINITY, f64::min);
    let largest = ticks.iter().fold(value.abs(), |a, t| a.max(t.abs()));
    if value == 0.0 {
        return "0".into();
    }
    if !(1e-3..1e5).contains(&largest) {
        let text = format!("{value:.1e}");
        let (mantissa, power) = text.split_once('e').unwrap_or((&text, "0"));
        let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
        return format!("{}·10{}", minus(mantissa), raised(power));
    }
    let digits = if step.is_finite() { (-step.log10() - 1e-6).ceil().clamp(0.0, 6.0) as usize } else { 3 };
    let text = format!("{value:.digits$}");
    minus(if step.is_finite() { &text } else { trimmed(&text) })
}

fn trimmed(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

fn minus(text: &str) -> String {
    text.replace('-', "−")
}
