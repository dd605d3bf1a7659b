//! Patterns that stay on a GPU, and sinograms made of them, beside the host's. Ignored by default: a build machine has none.

use std::sync::Arc;

use xrdct::cuda::tomo::{CudaReconstructor, SliceSizes};
use xrdct::cuda::{DevicePatterns, device};
use xrdct::tomo::filter::Filter;
use xrdct::tomo::{Grid, Method, Reconstruction, Reconstructor};

use super::assembly_cases;

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn sinograms_of_patterns_on_the_device_are_the_hosts_clean_under_the_sanitizer() {
    let context = device::open(0).unwrap();
    for case in assembly_cases::all() {
        let rays = case.assembly.rays();
        let grid = Grid::square(rays.translations);
        let method = Method::Fbp { filter: Filter::Ramp };
        let wanted = Reconstruction { rays, grid, method, circle: true };
        let pixels = wanted.grid.pixels();
        for (lanes, block) in [(1, 1024), (3, 16)] {
            let there = Arc::new(DevicePatterns::holding(&context, &case.patterns, case.npt).unwrap());
            let options = SliceSizes { lanes, bins: block };
            let mut maker =
                CudaReconstructor::with_patterns(&wanted, options, there, &case.assembly, Some).unwrap();
            for bins in [0..case.npt, 2..case.npt - 1] {
                let mut slices = vec![f32::NAN; bins.len() * pixels];
                let made = maker.assemble(bins.clone(), &mut slices).unwrap();
                assembly_cases::assert_same(&case, bins.clone(), &made.values, &made.empty);
                // Slices are those of these sinograms, the bits too.
                let mut again = vec![f32::NAN; slices.len()];
                maker.reconstruct(&made.values, &mut again).unwrap();
                let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                assert!(bits(&slices) == bits(&again), "{}: other slices", case.name);
                // And without slices.
                let bare = maker.assemble(bins, &mut []).unwrap();
                assert_eq!(bare, made, "{}", case.name);
            }
            let outside = maker.assemble(0..case.npt + 1, &mut []);
            assert!(outside.unwrap_err().to_string().contains("bins on the device"));
        }
    }
}
