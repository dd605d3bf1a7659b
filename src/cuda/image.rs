//! The kernels inside this binary: one fatbin a `.cu` file, or none when it was built without nvcc.

include!(concat!(env!("OUT_DIR"), "/kernels.rs"));

/// The fatbin of a unit: a `.cu` file's name without its ending.
pub fn find(unit: &str) -> Option<&'static [u8]> {
    UNITS.iter().find(|(name, _)| *name == unit).map(|(_, image)| *image)
}
