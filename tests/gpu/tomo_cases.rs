//! Reconstructions on which host and device must agree, and how closely.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use xrdct::tomo::filter::Filter;
use xrdct::tomo::{Grid, Method, Rays, Reconstruction};

/// Largest difference between device and host, of the largest value of a slice.
///
/// Rows are convolved with taps instead of multiplied in frequency, and multiply-adds are fused: some 1e-7 of what is summed up,
/// which is more than what comes out; iterations add up theirs. Seen: 2.1e-6.
pub const BOUND: f32 = 5e-6;

/// One of them.
pub struct Case {
    pub name: String,
    pub wanted: Reconstruction,
    pub sinograms: Vec<f32>,
}

pub fn case(name: &str, wanted: Reconstruction, bins: usize) -> Case {
    let mut random = StdRng::seed_from_u64(bins as u64);
    let value = |random: &mut StdRng| random.random_range(0.0_f32..1.0).powi(3);
    let sinograms = (0..bins * wanted.rays.len()).map(|_| value(&mut random)).collect();
    Case { name: name.to_owned(), wanted, sinograms }
}

fn even(rotations: usize, range: f64) -> Vec<f64> {
    (0..rotations).map(|i| i as f64 * range / rotations as f64).collect()
}

/// Every filter and method; an axis off the middle, rows longer than a block, images of any shape, angles out of order.
pub fn small() -> Vec<Case> {
    let fbp = |filter| Method::Fbp { filter };
    let centred = |rotations, translations, method, circle| Reconstruction {
        rays: Rays::centred(even(rotations, 180.0), translations),
        grid: Grid::square(translations),
        method,
        circle,
    };
    let mut cases = vec![];
    for filter in
        [Filter::Ramp, Filter::SheppLogan, Filter::Cosine, Filter::Hamming, Filter::Hann, Filter::None]
    {
        cases.push(case(&format!("{filter:?}"), centred(9, 21, fbp(filter), true), 3));
    }
    cases.push(case("a row longer than a run of the filter", centred(3, 263, fbp(Filter::Ramp), false), 5));
    cases.push(case("more rotations than are staged", centred(131, 17, fbp(Filter::Ramp), false), 1));
    cases.push(case("more bins than a group", centred(5, 16, fbp(Filter::Hann), true), 19));
    let oblong = Reconstruction {
        rays: Rays { angles: vec![200.0, 10.0, 95.0, 10.0, 351.0, 45.0, 90.0], translations: 30, axis: 11.3 },
        grid: Grid { rows: 19, columns: 41, x0: -17.2, y0: -6.1, pixel: 0.7 },
        method: fbp(Filter::SheppLogan),
        circle: false,
    };
    cases.push(case("an oblong image, an axis off the middle, any angles", oblong.clone(), 2));
    for (name, method) in [
        ("SIRT", Method::Sirt { iterations: 4, non_negative: true }),
        ("SIRT, negative values allowed", Method::Sirt { iterations: 3, non_negative: false }),
        ("MLEM", Method::Mlem { iterations: 4 }),
    ] {
        cases.push(case(name, centred(7, 18, method, true), 17));
        cases.push(case(&format!("{name}, oblong"), Reconstruction { method, ..oblong.clone() }, 2));
    }
    cases
}

/// Whether every slice is the host's.
pub fn assert_close(name: &str, found: &[f32], expected: &[f32], pixels: usize) {
    assert_eq!(found.len(), expected.len(), "{name}");
    for (bin, (found, expected)) in found.chunks(pixels).zip(expected.chunks(pixels)).enumerate() {
        let largest = expected.iter().fold(0.0_f32, |all, value| all.max(value.abs()));
        assert!(largest > 0.0, "{name}, bin {bin}: nothing was reconstructed");
        for (pixel, (found, expected)) in found.iter().zip(expected).enumerate() {
            let off = (found - expected).abs() / largest;
            assert!(off <= BOUND, "{name}, bin {bin}, pixel {pixel}: {found}, the host has {expected}");
        }
    }
}
