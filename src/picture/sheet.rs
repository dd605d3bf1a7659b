//! Whole pages: one map, one sinogram, all patterns, and the overview of a tomogram.

use super::PictureError;
use super::axis::label;
use super::colour::{ColourMap, REGIONS};
use super::curve::{self, Mark};
use super::heatmap::Heatmap;
use super::panel::{Panel, Scale};
use super::svg::{Anchor, QUIET, Style, Svg};

/// How numbers become colours.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Look {
    /// Colours.
    pub map: ColourMap,
    /// The colour (of a curve: the height) follows the logarithm.
    pub log: bool,
    /// Ends of the colours or of the height.
    pub limits: Option<(f64, f64)>,
}

/// A picture with positions: rows ascend along y, columns along x.
#[derive(Debug, Clone, PartialEq)]
pub struct Map {
    /// What it shows.
    pub title: String,
    /// `values[row · columns + column]`
    pub values: Vec<f32>,
    /// Positions of columns.
    pub x: Vec<f64>,
    /// Positions of rows.
    pub y: Vec<f64>,
    /// What x is, with its unit.
    pub x_label: String,
    /// What y is, with its unit.
    pub y_label: String,
}

impl Map {
    /// Half a step beyond the first and the last position.
    fn edges(positions: &[f64]) -> (f64, f64) {
        let n = positions.len();
        let half = if n > 1 { (positions[n - 1] - positions[0]) / (n - 1) as f64 / 2.0 } else { 0.5 };
        (positions.first().map_or(0.0, |p| p - half), positions.last().map_or(1.0, |p| p + half))
    }

    fn panel(&self, place: [f64; 4]) -> Panel {
        let ((x0, x1), (y0, y1)) = (Map::edges(&self.x), Map::edges(&self.y));
        Panel {
            place,
            x: Scale::linear(x0, x1, &self.x_label),
            y: Scale::linear(y0, y1, &self.y_label),
            title: self.title.clone(),
        }
    }

    /// Height of the panel for a width, so that both axes have the same scale.
    fn true_height(&self, width: f64) -> f64 {
        let ((x0, x1), (y0, y1)) = (Map::edges(&self.x), Map::edges(&self.y));
        (width * (y1 - y0) / (x1 - x0)).clamp(width / 8.0, width * 4.0)
    }

    fn draw(&self, svg: &mut Svg, place: [f64; 4], look: Look, bar: bool) -> Result<Panel, PictureError> {
        let panel = self.panel(place);
        let Look { map, log, limits } = look;
        Heatmap { values: &self.values, columns: self.x.len(), limits, map, log }.draw(svg, &panel, bar)?;
        Ok(panel)
    }
}

/// One map on a page; `equal` gives both axes the same scale.
///
/// # Errors
/// [`PictureError::Shape`] when values and positions do not belong together.
pub fn one_map(map: &Map, look: Look, equal: bool, [width, height]: [f64; 2]) -> Result<Svg, PictureError> {
    let inside = [width - 190.0, height - 100.0];
    let (w, h) = match equal {
        true => {
            let h = map.true_height(inside[0]);
            if h > inside[1] { (inside[0] * inside[1] / h, inside[1]) } else { (inside[0], h) }
        }
        false => (inside[0], inside[1]),
    };
    let mut svg = Svg::new(w + 190.0, h + 100.0);
    map.draw(&mut svg, [90.0, 40.0, w, h], look, true)?;
    Ok(svg)
}

/// A pattern on a page.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// What it shows.
    pub title: String,
    /// Radial axis.
    pub x: Vec<f64>,
    /// Intensity.
    pub y: Vec<f32>,
    /// Name and unit of the radial axis, pyFAI's or plain.
    pub x_label: String,
    /// Regions of interest.
    pub marks: Vec<Mark>,
}

impl Curve {
    fn draw(&self, svg: &mut Svg, place: [f64; 4], look: Look) {
        let (low, high) = look.limits.unwrap_or_else(|| curve::range(&self.y));
        let y = match look.log {
            true => {
                let positive: Vec<f32> = self.y.iter().copied().filter(|v| *v > 0.0).collect();
                Scale::logarithmic(curve::range(&positive).0, high * 1.3, "Intensity")
            }
            false => Scale::linear(low.min(0.0), high + 0.06 * (high - low.min(0.0)), "Intensity"),
        };
        let ends = (self.x.first().copied().unwrap_or(0.0), self.x.last().copied().unwrap_or(1.0));
        let x = Scale::linear(ends.0.min(ends.1), ends.1.max(ends.0), &label(&self.x_label));
        let panel = Panel { place, x, y, title: self.title.clone() };
        curve::draw(svg, &panel, &self.x, &self.y, &self.marks);
    }
}

/// One pattern on a page.
pub fn one_pattern(pattern: &Curve, look: Look, [width, height]: [f64; 2]) -> Svg {
    let mut svg = Svg::new(width, height);
    pattern.draw(&mut svg, [90.0, 40.0, width - 120.0, height - 96.0], look);
    svg
}

/// The mean pattern above all patterns, one a row.
///
/// # Errors
/// As [`one_map`].
pub fn patterns(mean: &Curve, all: &Map, look: Look, [width, height]: [f64; 2]) -> Result<Svg, PictureError> {
    let mut svg = Svg::new(width, height);
    let wide = width - 170.0;
    let tall = height - 190.0;
    let curve = Look { limits: None, ..look };
    mean.draw(&mut svg, [90.0, 40.0, wide, 0.42 * tall], curve);
    all.draw(&mut svg, [90.0, 0.42 * tall + 130.0, wide, 0.58 * tall], look, true)?;
    Ok(svg)
}

/// A region in every sector of the azimuth.
#[derive(Debug, Clone, PartialEq)]
pub struct SectorMaps {
    /// What it is called.
    pub name: String,
    /// (y, x) of each sector, titled by it.
    pub tomograms: Vec<Map>,
}

/// What the overview of sectors shows: the mean pattern of each, one a row, and of each region the tomograms of all sectors with the same
/// colours, so that they can be compared.
///
/// # Errors
/// As [`one_map`].
pub fn sectors(
    title: &str,
    remarks: &[String],
    means: &Map,
    regions: &[SectorMaps],
    look: Look,
) -> Result<Svg, PictureError> {
    const WIDTH: f64 = 1200.0;
    const SIDE: f64 = 142.0;
    const COLUMN: f64 = 180.0;
    const COLUMNS: usize = 6;
    const LINE: f64 = SIDE + 66.0;
    let top = 86.0 + 16.0 * remarks.len() as f64;
    let lines = |region: &SectorMaps| region.tomograms.len().div_ceil(COLUMNS);
    let height = |region: &SectorMaps| 56.0 + LINE * lines(region) as f64;
    let mut svg = Svg::new(WIDTH, top + 290.0 + regions.iter().map(height).sum::<f64>());
    head(&mut svg, title, remarks);
    means.draw(&mut svg, [100.0, top, WIDTH - 190.0, 200.0], Look { limits: None, ..look }, true)?;
    let mut y = top + 270.0;
    for (i, region) in regions.iter().enumerate() {
        svg.rect([24.0, y, 6.0, height(region) - 30.0], REGIONS[i % REGIONS.len()], None);
        svg.text((40.0, y + 12.0), Style::plain(14.0, Anchor::Start).bold(), &region.name);
        let all: Vec<f32> = region.tomograms.iter().flat_map(|map| map.values.iter().copied()).collect();
        // The same ends for all; with a logarithm a picture's own are only wanted where nothing was asked for.
        let common =
            Heatmap { values: &all, columns: 1, limits: look.limits, map: look.map, log: look.log }.ends();
        let look = Look { limits: Some(common), ..look };
        for (n, map) in region.tomograms.iter().enumerate() {
            let (line, column) = (n / COLUMNS, n % COLUMNS);
            let place = [90.0 + COLUMN * column as f64, y + 42.0 + LINE * line as f64, SIDE, SIDE];
            let is_last = column + 1 == COLUMNS || n + 1 == region.tomograms.len();
            // One label for a line of pictures.
            let y_label = if column == 0 { map.y_label.clone() } else { String::new() };
            Map { y_label, ..map.clone() }.draw(&mut svg, place, look, is_last)?;
        }
        y += height(region);
    }
    Ok(svg)
}

/// What stands above an overview.
fn head(svg: &mut Svg, title: &str, remarks: &[String]) {
    svg.text((28.0, 36.0), Style::plain(19.0, Anchor::Start).bold(), title);
    for (i, remark) in remarks.iter().enumerate() {
        svg.text((28.0, 60.0 + 16.0 * i as f64), Style::plain(11.5, Anchor::Start).coloured(QUIET), remark);
    }
}

/// What the overview shows of a region.
#[derive(Debug, Clone, PartialEq)]
pub struct RegionMaps {
    /// (rotation, translation)
    pub sinogram: Map,
    /// (y, x)
    pub tomogram: Map,
    /// What is true, with the correlation of the tomogram with it.
    pub truth: Option<(Map, f64)>,
}

/// The overview: the mean pattern with its regions, and a row for each region: sinogram, tomogram, and what is true.
///
/// # Errors
/// As [`one_map`].
pub fn overview(
    title: &str,
    remarks: &[String],
    mean: &Curve,
    regions: &[RegionMaps],
    look: Look,
) -> Result<Svg, PictureError> {
    const WIDTH: f64 = 1200.0;
    const SIDE: f64 = 250.0;
    const ROW: f64 = SIDE + 92.0;
    let with_truth = regions.iter().any(|r| r.truth.is_some());
    let text = 20.0 + 16.0 * remarks.len() as f64;
    let top = 66.0 + text + 250.0;
    let mut svg = Svg::new(WIDTH, top + 60.0 + ROW * regions.len() as f64);
    head(&mut svg, title, remarks);
    mean.draw(&mut svg, [100.0, 66.0 + text, WIDTH - 140.0, 200.0], Look { limits: None, ..look });
    let left = if with_truth { [100.0, 490.0, 860.0] } else { [180.0, 680.0, 0.0] };
    for (i, region) in regions.iter().enumerate() {
        let y = top + 50.0 + ROW * i as f64;
        let colour = REGIONS[i % REGIONS.len()];
        svg.rect([24.0, y, 6.0, SIDE], colour, None);
        region.sinogram.draw(&mut svg, [left[0], y, SIDE, SIDE], look, true)?;
        region.tomogram.draw(&mut svg, [left[1], y, SIDE, SIDE], look, true)?;
        if let Some((truth, correlation)) = &region.truth {
            let panel = truth.draw(
                &mut svg,
                [left[2], y, SIDE, SIDE],
                Look { limits: None, log: false, ..look },
                true,
            )?;
            panel.draw_remark(&mut svg, &format!("correlation {correlation:.3}"));
        }
    }
    Ok(svg)
}
