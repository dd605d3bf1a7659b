//! Colours: maps that look evenly graded to the eye, and a few colours that are easily told apart.

/// A perceptually uniform colour map (Smith & van der Walt 2015; cividis: Nuñez, Anderton & Renslow 2018).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ColourMap {
    /// Blue, green, yellow.
    #[default]
    Viridis,
    /// Black, red, yellow.
    Inferno,
    /// Black, purple, cream.
    Magma,
    /// For colour-blind eyes.
    Cividis,
    /// White to black.
    Grey,
}

/// Colour of values that are not there.
pub const NOTHING: [u8; 3] = [214, 214, 214];

/// Colours of regions, after Okabe & Ito: told apart by all eyes.
pub const REGIONS: [&str; 6] = ["#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

impl ColourMap {
    /// Colour of a part between 0 and 1; beyond is the end's, NaN is [`NOTHING`].
    pub fn at(self, part: f64) -> [u8; 3] {
        if part.is_nan() {
            return NOTHING;
        }
        let gradient = match self {
            ColourMap::Viridis => colorous::VIRIDIS,
            ColourMap::Inferno => colorous::INFERNO,
            ColourMap::Magma => colorous::MAGMA,
            ColourMap::Cividis => colorous::CIVIDIS,
            ColourMap::Grey => colorous::GREYS,
        };
        gradient.eval_continuous(part.clamp(0.0, 1.0)).as_array()
    }
}
