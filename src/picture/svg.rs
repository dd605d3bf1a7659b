//! SVG documents, and PNGs of them.
//!
//! Every picture is written once, as SVG; a PNG is that document drawn by `resvg` with the font that the program carries, so
//! that it looks the same everywhere, and a report embeds the same text.

use std::fmt::Write;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use resvg::{tiny_skia, usvg};

use super::PictureError;
use crate::budget;

/// Font of all pictures.
static FONT: &[u8] = include_bytes!("../../assets/DejaVuSans-subset.ttf");

/// Its name.
pub const FONT_FAMILY: &str = "DejaVu Sans";

/// Colour of axes and text.
pub const INK: &str = "#222222";
/// Colour of grids and quiet text.
pub const QUIET: &str = "#6b7280";
/// Colour of thin rules.
pub const RULE: &str = "#e5e7eb";

/// Where a text stands relative to its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// Begins there.
    Start,
    /// Is centred there.
    Middle,
    /// Ends there.
    End,
}

/// How a text looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Style {
    /// Height of the font, px.
    pub size: f64,
    /// Colour.
    pub colour: &'static str,
    /// Where it stands.
    pub anchor: Anchor,
    /// Thicker.
    pub bold: bool,
}

impl Style {
    /// Plain text.
    pub const fn plain(size: f64, anchor: Anchor) -> Style {
        Style { size, colour: INK, anchor, bold: false }
    }

    /// The same, in another colour.
    pub const fn coloured(self, colour: &'static str) -> Style {
        Style { colour, ..self }
    }

    /// The same, thicker.
    pub const fn bold(self) -> Style {
        Style { bold: true, ..self }
    }
}

/// A document in the making; lengths are px, y runs down.
#[derive(Debug, Clone)]
pub struct Svg {
    /// Width of the page.
    pub width: f64,
    /// Height of the page.
    pub height: f64,
    body: String,
}

impl Svg {
    /// An empty white page.
    pub fn new(width: f64, height: f64) -> Svg {
        let mut svg = Svg { width, height, body: String::new() };
        svg.rect([0.0, 0.0, width, height], "#ffffff", None);
        svg
    }

    /// A filled rectangle [x, y, width, height], with an outline if wanted.
    pub fn rect(&mut self, [x, y, w, h]: [f64; 4], fill: &str, stroke: Option<&str>) {
        let stroke =
            stroke.map_or_else(String::new, |colour| format!(" stroke=\"{colour}\" stroke-width=\"1\""));
        self.add(format_args!(
            "<rect x=\"{x:.2}\" y=\"{y:.2}\" width=\"{:.2}\" height=\"{:.2}\" fill=\"{fill}\"{stroke}/>",
            w.max(0.0),
            h.max(0.0)
        ));
    }

    /// A translucent rectangle.
    pub fn shade(&mut self, [x, y, w, h]: [f64; 4], fill: &str, opacity: f64) {
        self.add(format_args!(
            "<rect x=\"{x:.2}\" y=\"{y:.2}\" width=\"{:.2}\" height=\"{:.2}\" fill=\"{fill}\" fill-opacity=\"{opacity}\"/>",
            w.max(0.0),
            h.max(0.0)
        ));
    }

    /// A straight line.
    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: &str, width: f64, dashed: bool) {
        let dash = if dashed { " stroke-dasharray=\"5 4\"" } else { "" };
        self.add(format_args!(
            "<line x1=\"{:.2}\" y1=\"{:.2}\" x2=\"{:.2}\" y2=\"{:.2}\" stroke=\"{colour}\" stroke-width=\"{width}\"{dash}/>",
            from.0, from.1, to.0, to.1
        ));
    }

    /// A line through points.
    pub fn polyline(&mut self, points: &[(f64, f64)], colour: &str, width: f64) {
        if points.len() < 2 {
            return;
        }
        let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.2},{y:.2}")).collect();
        self.add(format_args!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\" stroke-linejoin=\"round\"/>",
            path.join(" ")
        ));
    }

    /// A line of text.
    pub fn text(&mut self, (x, y): (f64, f64), style: Style, text: &str) {
        self.place_text(&format!("x=\"{x:.2}\" y=\"{y:.2}\""), style, text);
    }

    /// A line of text that runs upwards, centred at its point.
    pub fn text_upwards(&mut self, (x, y): (f64, f64), style: Style, text: &str) {
        self.place_text(&format!("transform=\"translate({x:.2} {y:.2}) rotate(-90)\""), style, text);
    }

    fn place_text(&mut self, place: &str, style: Style, text: &str) {
        let anchor = match style.anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        // The font has one weight; a thin outline of the same colour makes it bold.
        let weight = match style.bold {
            true => format!(" stroke=\"{}\" stroke-width=\"{:.2}\"", style.colour, style.size / 28.0),
            false => String::new(),
        };
        self.add(format_args!(
            "<text {place} font-family=\"{FONT_FAMILY}, sans-serif\" font-size=\"{}\" text-anchor=\"{anchor}\" fill=\"{}\"{weight}>{}</text>",
            style.size,
            style.colour,
            escape(text)
        ));
    }

    /// A picture of pixels [x, y, width, height], each pixel a sharp rectangle.
    pub fn image(&mut self, [x, y, w, h]: [f64; 4], png: &[u8]) {
        self.add(format_args!(
            "<image x=\"{x:.2}\" y=\"{y:.2}\" width=\"{w:.2}\" height=\"{h:.2}\" preserveAspectRatio=\"none\" \
             style=\"image-rendering:pixelated\" href=\"data:image/png;base64,{}\"/>",
            BASE64_STANDARD.encode(png)
        ));
    }

    /// Another document's drawing, put down at a place.
    pub fn place(&mut self, (x, y): (f64, f64), other: &Svg) {
        self.add(format_args!("<g transform=\"translate({x:.2} {y:.2})\">\n{}</g>", other.body));
    }

    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.body, "{element}");
    }

    /// The finished document.
    pub fn finish(&self) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0}\" height=\"{1:.0}\" viewBox=\"0 0 {0:.0} {1:.0}\">\n{2}</svg>\n",
            self.width, self.height, self.body
        )
    }

    /// The document drawn, `scale` pixels a px, as PNG.
    ///
    /// # Errors
    /// [`PictureError`] when the document is too large to draw.
    pub fn png(&self, scale: f64) -> Result<Vec<u8>, PictureError> {
        let mut options = usvg::Options { font_family: FONT_FAMILY.into(), ..usvg::Options::default() };
        options.fontdb_mut().load_font_data(FONT.to_vec());
        let tree =
            usvg::Tree::from_str(&self.finish(), &options).map_err(|e| PictureError::Draw(e.to_string()))?;
        let (width, height) = ((self.width * scale).round() as u32, (self.height * scale).round() as u32);
        let (columns, rows) = (width as usize, height as usize);
        // Drawn, and once more as it is packed.
        budget::allow(
            format_args!("a picture of {columns} x {rows} pixels"),
            budget::bytes_of(&[columns, rows], 8),
        )
        .map_err(|cause| PictureError::Draw(cause.to_string()))?;
        let mut pixels = tiny_skia::Pixmap::new(width, height)
            .ok_or_else(|| PictureError::Draw(format!("{width} x {height} pixels cannot be drawn")))?;
        let transform = tiny_skia::Transform::from_scale(scale as f32, scale as f32);
        resvg::render(&tree, transform, &mut pixels.as_mut());
        pixels.encode_png().map_err(|e| PictureError::Draw(e.to_string()))
    }
}

/// Text as it may stand in SVG or HTML; what XML cannot hold becomes the replacement character.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\t' | '\n' | '\r' => safe.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

/// About how wide a text is, px.
pub fn width_of(text: &str, size: f64) -> f64 {
    text.chars().count() as f64 * size * 0.6
}
