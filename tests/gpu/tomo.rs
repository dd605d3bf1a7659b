//! Reconstruction on a GPU beside the host's. Ignored by default: a build machine has none.

use xrdct::cuda::device;
use xrdct::cuda::tomo::{CudaReconstructor, SliceSizes};
use xrdct::tomo::filter::Filter;
use xrdct::tomo::{Grid, HostReconstructor, Method, Rays, Reconstruction, Reconstructor};

use super::tomo_cases::{self, Case};

fn on_gpu(wanted: &Reconstruction, options: SliceSizes, sinograms: &[f32]) -> Vec<f32> {
    let context = device::open(0).unwrap();
    let mut slices = vec![0.0; sinograms.len() / wanted.rays.len() * wanted.grid.pixels()];
    let mut maker = CudaReconstructor::new(&context, wanted, options).unwrap();
    maker.reconstruct(sinograms, &mut slices).unwrap();
    slices
}

fn check(cases: Vec<Case>) {
    for Case { name, wanted, sinograms } in cases {
        let mut expected = vec![0.0; sinograms.len() / wanted.rays.len() * wanted.grid.pixels()];
        HostReconstructor::new(&wanted).unwrap().reconstruct(&sinograms, &mut expected).unwrap();
        let found = on_gpu(&wanted, SliceSizes { lanes: 2, bins: 16 }, &sinograms);
        tomo_cases::assert_close(&name, &found, &expected, wanted.grid.pixels());
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn small_slices_are_the_hosts_clean_under_the_sanitizer() {
    check(tomo_cases::small());
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn large_slices_are_the_hosts() {
    let rays = Rays::centred((0..180).map(f64::from).collect(), 181);
    let methods = [
        Method::Fbp { filter: Filter::Ramp },
        Method::Sirt { iterations: 10, non_negative: true },
        Method::Mlem { iterations: 10 },
    ];
    let case = |method: Method| {
        let wanted = Reconstruction { rays: rays.clone(), grid: Grid::square(181), method, circle: true };
        tomo_cases::case(&format!("large, {method:?}"), wanted, 40)
    };
    check(methods.map(case).into());
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn blocks_and_lanes_do_not_change_a_bit() {
    for Case { name, wanted, sinograms } in tomo_cases::small() {
        let bits = |lanes, bins| -> Vec<u32> {
            let slices = on_gpu(&wanted, SliceSizes { lanes, bins }, &sinograms);
            slices.into_iter().map(f32::to_bits).collect()
        };
        let all = bits(1, 1024);
        for (lanes, bins) in [(1, 16), (2, 16), (3, 32), (4, 64)] {
            assert!(bits(lanes, bins) == all, "{name}: {lanes} lanes of {bins}");
        }
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn a_hole_in_a_sinogram_is_an_error_and_the_next_call_works() {
    let context = device::open(0).unwrap();
    let Case { wanted, mut sinograms, .. } = tomo_cases::small().swap_remove(0);
    let mut maker = CudaReconstructor::new(&context, &wanted, SliceSizes::default()).unwrap();
    let mut slices = vec![0.0; sinograms.len() / wanted.rays.len() * wanted.grid.pixels()];
    maker.reconstruct(&sinograms, &mut slices).unwrap();
    let before = slices.clone();
    let value = std::mem::replace(&mut sinograms[5], f32::NAN);
    assert!(maker.reconstruct(&sinograms, &mut slices).is_err());
    sinograms[5] = value;
    maker.reconstruct(&sinograms, &mut slices).unwrap();
    assert!(slices == before);
}
