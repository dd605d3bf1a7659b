//! Numbers with units, and the axes that NeXus makes chains of.

use hdf5::{Dataset, Group};

use crate::output::nexus;

/// The axis that stands at the end of every chain.
pub(super) const LABORATORY: &str = ".";

/// How an axis moves what depends on it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Motion {
    /// By metres along a vector.
    Translation,
    /// By degrees about a vector.
    Rotation,
}

impl Motion {
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Motion::Translation => ("translation", "m"),
            Motion::Rotation => ("rotation", "degree"),
        }
    }
}

/// Writes one number with its unit.
pub(super) fn quantity(group: &Group, name: &str, value: f64, units: &str) -> hdf5::Result<Dataset> {
    let dataset = nexus::number(group, name, value)?;
    nexus::attribute(&dataset, "units", units)?;
    Ok(dataset)
}

/// Writes one number a frame with their unit.
pub(super) fn column(group: &Group, name: &str, values: &[f64], units: &str) -> hdf5::Result<Dataset> {
    let dataset = nexus::numbers(group, name, [values.len()], values)?;
    nexus::attribute(&dataset, "units", units)?;
    Ok(dataset)
}

/// Makes an axis of one number.
pub(super) fn axis(
    group: &Group,
    name: &str,
    value: f64,
    motion: Motion,
    vector: [f64; 3],
    depends_on: &str,
) -> hdf5::Result<()> {
    let (_, units) = motion.words();
    moves(&quantity(group, name, value, units)?, motion, vector, depends_on)
}

/// Makes an axis that stands elsewhere in every frame.
pub(super) fn moving_axis(
    group: &Group,
    name: &str,
    values: &[f64],
    motion: Motion,
    vector: [f64; 3],
    depends_on: &str,
) -> hdf5::Result<()> {
    let (_, units) = motion.words();
    moves(&column(group, name, values, units)?, motion, vector, depends_on)
}

fn moves(dataset: &Dataset, motion: Motion, vector: [f64; 3], depends_on: &str) -> hdf5::Result<()> {
    let (kind, _) = motion.words();
    nexus::attribute(dataset, "transformation_type", kind)?;
    nexus::attribute_numbers(dataset, "vector", &vector)?;
    nexus::attribute_numbers(dataset, "offset", &[0.0; 3])?;
    nexus::attribute(dataset, "offset_units", "m")?;
    nexus::attribute(dataset, "depends_on", depends_on)
}
