//! The reconstruction kernels under the emulator, against the host's reconstructor.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use xrdct::cuda::tomo::Geometry;
use xrdct::tomo::{HostReconstructor, Method, Reconstruction, Reconstructor};

use super::emulated::{build, bytes_of, run_on, values_of};
use super::tomo_cases::{self, Case};

fn emulator() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| build("tests/gpu/emulate_tomo.cpp", "emulate-tomo"))
}

fn emulated(program: &Path, name: &str, wanted: &Reconstruction, sinograms: &[f32]) -> Vec<f32> {
    let mut geometry = Geometry::new(wanted);
    geometry.tomo.bins = (sinograms.len() / wanted.rays.len()) as u32;
    let (method, iterations) = match wanted.method {
        Method::Fbp { .. } => (0_u32, 0),
        Method::Sirt { iterations, .. } => (1, iterations as u32),
        Method::Mlem { iterations } => (2, iterations as u32),
    };
    let Geometry { tomo, kept, turns, taps, views, row_scales, column_scales } = &geometry;
    let answer = run_on(
        program,
        name,
        &[
            bytes_of(&[*tomo]),
            bytes_of(&[method]),
            bytes_of(&[iterations]),
            bytes_of(sinograms),
            kept,
            bytes_of(turns),
            bytes_of(taps),
            bytes_of(views),
            bytes_of(row_scales),
            bytes_of(column_scales),
        ],
    );
    values_of(&answer[0])
}

#[test]
fn slices_are_the_hosts() {
    let program = emulator();
    for Case { name, wanted, sinograms } in tomo_cases::small() {
        let mut expected = vec![0.0; sinograms.len() / wanted.rays.len() * wanted.grid.pixels()];
        HostReconstructor::new(&wanted).unwrap().reconstruct(&sinograms, &mut expected).unwrap();
        let found = emulated(program, &name, &wanted, &sinograms);
        tomo_cases::assert_close(&name, &found, &expected, wanted.grid.pixels());
    }
}
