//! What NeXus's definitions of integrated patterns, NXazint1d and NXazint2d, want to know beside the patterns.

/// What the definition asks for beside the patterns.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// Whether intensities are corrected for the solid angle of pixels.
    pub solid_angle: bool,
    /// The factor of the correction for polarisation; `None`: there is none.
    pub polarization: Option<f64>,
    /// Whether each frame was divided by its monitor.
    pub monitor: bool,
    /// Metres.
    pub wavelength: f64,
    /// What the radial axis is.
    pub radial: RadialAxis,
    /// What else the integration was told, by name.
    pub parameters: Vec<(String, String)>,
}

/// A radial axis that the definitions know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RadialAxis {
    /// `q` or `2theta`.
    pub name: &'static str,
    /// As NeXus spells it: `1/nm`, `1/angstrom`, `degrees`, `radians`.
    pub units: &'static str,
    /// The word for it among the parameters: `q` or `2th`.
    pub word: &'static str,
}
