//! From a plan to its recipe: corrections, matrix, and the axes of every pattern.

use super::error::{Concern, OrAbout, SessionError};
use super::on_threads;
use super::plan::Plan;
use super::plausible;
use crate::geometry::correction;
use crate::integrate::axis::{Axis, Bins};
use crate::integrate::corrections::{Corrections, Given, Lost};
use crate::integrate::engine::Recipe;
use crate::integrate::split::{self, MatrixRequest};
use crate::output::result::BinAxis;

/// What a plan's frames are integrated with.
pub struct Preparation {
    /// Pixels that the corrections leave out.
    pub lost: Lost,
    /// The axes of every pattern, slowest first: the radial one is the last.
    pub axes: Vec<BinAxis>,
    /// Everything that an engine must know.
    pub recipe: Recipe,
}

impl Plan {
    /// Flat, dark, polarisation, solid angle and normalisation, looked at pixel by pixel.
    ///
    /// # Errors
    /// When frames cannot be corrected so.
    pub fn corrections(&self) -> Result<Corrections, SessionError> {
        let shape = self.encoding().shape;
        let factor = self.options.polarization;
        let polarization = factor.map(|f| correction::polarization(&self.poni, shape, f)).transpose();
        let is_wanted = self.options.no_solid_angle != Some(true);
        let solid_angle = is_wanted.then(|| correction::solid_angle(&self.poni, shape)).transpose();
        let (polarization, solid_angle) =
            (polarization.or_about(Concern::Calibration)?, solid_angle.or_about(Concern::Calibration)?);
        Corrections::study(&Given {
            shape,
            mask: self.mask.as_ref(),
            factor: self.options.normalization.unwrap_or(1.0),
            flat: self.flat.as_deref(),
            dark: self.dark.as_deref(),
            polarization: polarization.as_deref(),
            solid_angle: solid_angle.as_deref(),
        })
        .or_about(Concern::Calibration)
    }

    /// Makes everything that a session makes before it needs a device, and keeps nothing: what would end a run before its first frame ends this,
    /// and what would be noted is. The pixels that the corrections leave out.
    ///
    /// # Errors
    /// As [`Plan::prepare`].
    pub fn rehearse(&mut self) -> Result<Lost, SessionError> {
        let (lost, note) = on_threads(self.threads, || -> Result<_, SessionError> {
            let Preparation { lost, axes, recipe } = self.prepare()?;
            let radial = axes.last().map_or(&[][..], |axis| &axis.centres);
            Ok((lost, plausible::mostly_empty(self, radial, &recipe.csr)))
        })??;
        self.notes.extend(note);
        Ok(lost)
    }

    /// Corrections, matrix and axes; rayon's threads of the caller do it.
    ///
    /// # Errors
    /// When corrections or ranges leave nothing, or there is no memory for the matrix.
    pub fn prepare(&self) -> Result<Preparation, SessionError> {
        let Corrections { normalization, lost } = self.corrections()?;
        let encoding = self.encoding();
        let Bins { axes, matrix } = split::build(&MatrixRequest {
            poni: &self.poni,
            shape: encoding.shape,
            npt: self.npt,
            npt_azim: self.npt_azim,
            unit: self.unit,
            split: self.split,
            mask: self.mask.as_ref(),
            radial_range: self.radial_range(),
            azimuth_range: self.azimuth_range(),
            chi_at_zero: self.options.chi_discontinuity_at_0 == Some(true),
        })
        .or_about(Concern::Calibration)?;
        let mut recipe = Recipe {
            csr: matrix,
            normalization,
            dark: self.dark.clone(),
            dummy: self.dummy,
            saturation: self.saturation,
            reduction: self.reduction.clone(),
            empty: self.options.empty.unwrap_or(0.0),
            shape: encoding.shape,
            pixel: encoding.pixel,
        };
        if let Some(flat) = &self.flat {
            recipe.exclude_flat(flat);
        }
        plausible::check_matrix(self, &recipe.csr, |pixel| recipe.is_valid(pixel))?;
        let in_words = |Axis { quantity, centres, .. }: Axis| BinAxis {
            name: quantity.short_name().to_owned(),
            unit: quantity.unit_symbol().to_owned(),
            long_name: quantity.label().to_owned(),
            centres,
        };
        Ok(Preparation { lost, axes: axes.into_iter().map(in_words).collect(), recipe })
    }
}
