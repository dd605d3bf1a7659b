//! Pictures: data in, SVG or PNG out. Nothing here opens a file or knows a command.
//!
//! ```text
//!   svg (page, font, PNG) ◀── panel (axes) ◀── heatmap, curve, bars ◀── sheet (several panels), report (HTML)
//! ```
//!
//! Row 0 of a map is drawn at the bottom, y runs up, lengths have the same scale on both axes.

pub mod axis;
pub mod bars;
pub mod colour;
pub mod curve;
pub mod heatmap;
pub mod panel;
pub mod report;
pub mod sheet;
pub mod svg;

/// Why a picture cannot be drawn.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// Values that do not fill their rows.
    #[error("{values} values do not fill rows of {columns}")]
    Shape {
        /// How many there are.
        values: usize,
        /// How many a row has.
        columns: usize,
    },
    /// Drawing failed.
    #[error("the picture cannot be drawn: {0}")]
    Draw(String),
}
