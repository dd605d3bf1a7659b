//! Functions of the driver that not every driver has, or that cudarc knows by a younger name only: looked up when they are needed.

use cudarc::driver::sys;

/// The function of that name, if this driver has it. There must be a driver.
///
/// Calling it is unsafe, and whoever does vouches for the type: it must be the one that cuda.h gives.
pub(super) fn symbol<F: Copy>(name: &str) -> Option<F> {
    // SAFETY: looked up and not called; the library stays loaded until the process ends.
    unsafe { sys::culib().get::<F>(name.as_bytes()) }.ok().map(|found| *found)
}
