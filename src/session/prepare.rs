//! From a plan to its recipe: corrections, matrix, and the axis of every pattern.

use super::error::{Concern, OrAbout, SessionError};
use super::on_threads;
use super::plan::Plan;
use super::plausible;
use crate::geometry::correction;
use crate::integrate::corrections::{Corrections, Given, Lost};
use crate::integrate::engine::Recipe;
use crate::integrate::split::{self, MatrixRequest};
use crate::output::result::RadialAxis;

/// What a plan's frames are integrated with.
pub struct Preparation {
    /// Pixels that the corrections leave out.
    pub lost: Lost,
    /// The radial axis of every pattern.
    pub axis: RadialAxis,
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
            let Preparation { lost, axis, recipe } = self.prepare()?;
            Ok((lost, plausible::mostly_empty(self, &axis.centres, &recipe.csr)))
        })??;
        self.notes.extend(note);
        Ok(lost)
    }

    /// Corrections, matrix and axis; rayon's threads of the caller do it.
    ///
    /// # Errors
    /// When corrections or ranges leave nothing, or there is no memory for the matrix.
    pub fn prepare(&self) -> Result<Preparation, SessionError> {
        let Corrections { normalization, lost } = self.corrections()?;
        let encoding = self.encoding();
        let (axis, csr) = split::build(&MatrixRequest {
            poni: &self.poni,
            shape: encoding.shape,
            npt: self.npt,
            unit: self.unit,
            split: self.split,
            mask: self.mask.as_ref(),
            radial_range: self.radial_range(),
            azimuth_range: self.azimuth_range(),
        })
        .or_about(Concern::Calibration)?;
        let mut recipe = Recipe {
            csr,
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
        let axis = RadialAxis {
            name: self.unit.short_name().to_owned(),
            unit: self.unit.unit_symbol().to_owned(),
            long_name: self.unit.label().to_owned(),
            centres: axis.centres,
        };
        Ok(Preparation { lost, axis, recipe })
    }
}
