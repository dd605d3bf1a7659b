//! A pattern: intensity over the radial axis, with regions of interest shaded.

use super::colour::REGIONS;
use super::panel::Panel;
use super::svg::{Anchor, Style, Svg};

/// A marked part of the horizontal axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// Lower end.
    pub from: f64,
    /// Upper end.
    pub to: f64,
    /// What it is called.
    pub name: String,
}

/// Colour of the curve.
pub const CURVE: &str = "#1f2937";

/// Draws y over x into a panel, marks beneath it; points that are not finite interrupt the line.
pub fn draw(svg: &mut Svg, panel: &Panel, x: &[f64], y: &[f32], marks: &[Mark]) {
    panel.draw_grid(svg);
    let [_, top, _, height] = panel.place;
    for (i, mark) in marks.iter().enumerate() {
        let colour = REGIONS[i % REGIONS.len()];
        let (left, right) = (panel.at(mark.from, 0.0).0, panel.at(mark.to, 0.0).0);
        svg.shade([left, top, right - left, height], colour, 0.22);
        let place = ((left + right) / 2.0, top + 12.0 + 13.0 * (i % 3) as f64);
        svg.text(place, Style::plain(11.0, Anchor::Middle).coloured(colour).bold(), &mark.name);
    }
    let mut run: Vec<(f64, f64)> = Vec::new();
    for (x, y) in x.iter().zip(y) {
        let shown = y.is_finite() && (!panel.y.log || *y > 0.0);
        if shown {
            let (px, py) = panel.at(*x, f64::from(*y));
            run.push((px, py.clamp(top - 1.0, top + height + 1.0)));
        } else {
            svg.polyline(&run, CURVE, 1.3);
            run.clear();
        }
    }
    svg.polyline(&run, CURVE, 1.3);
    panel.draw_axes(svg);
}

/// Lowest and highest finite value.
pub fn range(y: &[f32]) -> (f64, f64) {
    let finite = || y.iter().copied().filter(|v| v.is_finite()).map(f64::from);
    (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max))
}
