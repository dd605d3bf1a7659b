//! An image of numbers: slices, sinograms, all patterns of a scan.

use super::PictureError;
use super::axis::{number, ticks};
use super::colour::ColourMap;
use super::panel::Panel;
use super::svg::{Anchor, INK, Style, Svg};

/// Numbers in rows and columns; row 0 is drawn at the bottom.
#[derive(Debug, Clone, PartialEq)]
pub struct Heatmap<'a> {
    /// `values[row · columns + column]`; NaN is grey.
    pub values: &'a [f32],
    /// Values in a row.
    pub columns: usize,
    /// Values of the darkest and the brightest colour; by [`limits`] when absent.
    pub limits: Option<(f64, f64)>,
    /// Colours.
    pub map: ColourMap,
    /// The colour follows the logarithm.
    pub log: bool,
}

/// Sensible ends for the colours: the 0.5 and 99.5 percentiles (extremes of pictures with few pixels).
pub fn limits(values: &[f32]) -> (f64, f64) {
    let mut finite: Vec<f32> = values.iter().copied().filter(|v| v.is_finite()).collect();
    if finite.is_empty() {
        return (0.0, 1.0);
    }
    let (cut, last) = (finite.len() / 200, finite.len() - 1);
    // Putting millions of values in order takes seconds.
    let mut in_order = |place: usize| f64::from(*finite.select_nth_unstable_by(place, f32::total_cmp).1);
    let (low, high) = (in_order(cut), in_order(last - cut));
    if high > low { (low, high) } else { (low, low + low.abs().max(1e-30)) }
}

/// Most pixels along a side of the embedded image; larger data are thinned by taking means.
const MOST_PIXELS: usize = 1600;

impl Heatmap<'_> {
    /// Its ends, given or found.
    pub fn ends(&self) -> (f64, f64) {
        let (low, high) = self.limits.unwrap_or_else(|| match self.log {
            true => {
                limits(&self.values.iter().map(|v| if *v > 0.0 { *v } else { f32::NAN }).collect::<Vec<_>>())
            }
            false => limits(self.values),
        });
        if self.log { (low.max(high * 1e-6).max(f64::MIN_POSITIVE), high) } else { (low, high) }
    }

    fn part(&self, value: f32, (low, high): (f64, f64)) -> f64 {
        let value = f64::from(value);
        match self.log {
            true if value.is_nan() => f64::NAN,
            true => (value.max(low) / low).ln() / (high / low).ln(),
            false => (value - low) / (high - low),
        }
    }

    /// The pixels as PNG, the last row first.
    ///
    /// # Errors
    /// [`PictureError::Shape`] when values do not fill the rows.
    pub fn png(&self) -> Result<Vec<u8>, PictureError> {
        let rows = self.values.len().checked_div(self.columns).unwrap_or(0);
        if rows == 0 || rows * self.columns != self.values.len() {
            return Err(PictureError::Shape { values: self.values.len(), columns: self.columns });
        }
        let ends = self.ends();
        let (across, down) = (self.columns.div_ceil(MOST_PIXELS), rows.div_ceil(MOST_PIXELS));
        let (width, height) = (self.columns.div_ceil(across), rows.div_ceil(down));
        let mean = |row: usize, column: usize| {
            let rows = row * down..((row + 1) * down).min(rows);
            let cells = rows.flat_map(|r| {
                let columns = column * across..((column + 1) * across).min(self.columns);
                columns.map(move |c| r * self.columns + c)
            });
            let (sum, count) = cells
                .map(|i| self.values[i])
                .filter(|v| v.is_finite())
                .fold((0.0_f64, 0_u32), |(sum, n), v| (sum + f64::from(v), n + 1));
            if count == 0 { f32::NAN } else { (sum / f64::from(count)) as f32 }
        };
        let mut pixels = Vec::with_capacity(3 * width * height);
        for row in (0..height).rev() {
            (0..width).for_each(|column| pixels.extend(self.map.at(self.part(mean(row, column), ends))));
        }
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(&pixels));
        written.map_err(|e| PictureError::Draw(e.to_string()))?;
        Ok(bytes)
    }

    /// Draws it into a panel, with a colour bar at the right when wanted.
    ///
    /// # Errors
    /// As [`Heatmap::png`].
    pub fn draw(&self, svg: &mut Svg, panel: &Panel, bar: bool) -> Result<(), PictureError> {
        svg.image(panel.place, &self.png()?);
        panel.draw_axes(svg);
        if bar {
            self.draw_bar(svg, panel)?;
        }
        Ok(())
    }

    fn draw_bar(&self, svg: &mut Svg, panel: &Panel) -> Result<(), PictureError> {
        const STEPS: usize = 128;
        let [left, top, width, height] = panel.place;
        let place = [left + width + 8.0, top, 10.0, height];
        let ramp: Vec<f32> = (0..STEPS).map(|i| i as f32).collect();
        let whole = Some((0.0, STEPS as f64 - 1.0));
        let bar = Heatmap { values: &ramp, columns: 1, limits: whole, map: self.map, log: false };
        svg.image(place, &bar.png()?);
        let (low, high) = self.ends();
        let marks = if self.log { super::axis::log_ticks(low, high) } else { ticks(low, high, 4) };
        for &mark in &marks {
            let y = top + height * (1.0 - self.part(mark as f32, (low, high)).clamp(0.0, 1.0));
            svg.line((place[0] + 10.0, y), (place[0] + 13.0, y), INK, 1.0, false);
            svg.text((place[0] + 16.0, y + 3.5), Style::plain(10.0, Anchor::Start), &number(mark, &marks));
        }
        Ok(())
    }
}
