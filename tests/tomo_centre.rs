//! The rotation axis: found to a tenth of a step, for known offsets, with noise, over half a turn and a whole one.

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, Poisson};
use xrdct::simulate::phantom::{Trajectory, truth};
use xrdct::tomo::centre::{self, CentreMethod};
use xrdct::tomo::filter::Filter;
use xrdct::tomo::{
    Grid, HostReconstructor, Method, Rays, Reconstruction, Reconstructor, Sinograms, TomoError,
};

const TRANSLATIONS: usize = 91;

/// Offsets from the middle, in steps: none, whole, fractional, either way, up to 15 % of the translations.
const OFFSETS: [f64; 7] = [0.0, 3.0, -4.0, 0.37, -2.61, 13.6, -13.6];

/// The phantom's total with its axis off the middle; with `counts`, as counts with that many at the brightest point.
fn total(rotations: usize, range: f64, offset: f64, counts: Option<f64>) -> Sinograms {
    let scan = Trajectory {
        rotations,
        translations: TRANSLATIONS,
        range,
        field: 1.2,
        diameter: 0.8,
        axis_offset: offset,
    };
    let mut values = vec![0.0_f32; rotations * TRANSLATIONS];
    for phase in truth(&scan, 3) {
        values.iter_mut().zip(&phase.sinogram).for_each(|(sum, value)| *sum += value);
    }
    if let Some(counts) = counts {
        let mut random = StdRng::seed_from_u64(rotations as u64);
        let brightest = values.iter().fold(0.0_f32, |all, v| all.max(*v));
        for value in &mut values {
            // Air scatters too: a hundredth of the brightest point.
            let mean = counts * (f64::from(*value / brightest) + 0.01);
            *value = Poisson::new(mean).expect("a mean above 0").sample(&mut random) as f32;
        }
    }
    let rays = Rays::centred(scan.angles(), TRANSLATIONS);
    Sinograms { rays, bins: 1, values }
}

fn found(total: &Sinograms, method: CentreMethod) -> f64 {
    let slice = |rays: &Rays| -> Result<Vec<f32>, TomoError> {
        let method = Method::Fbp { filter: Filter::Ramp };
        let grid = Grid::square(TRANSLATIONS);
        let wanted = Reconstruction { rays: rays.clone(), grid, method, circle: false };
        let mut image = vec![0.0; wanted.grid.pixels()];
        HostReconstructor::new(&wanted)?.reconstruct(&total.values, &mut image).expect("reconstructs");
        Ok(image)
    };
    centre::find(total, method, slice).expect("an axis").axis
}

fn assert_found(total: &Sinograms, method: CentreMethod, offset: f64, what: &str) {
    let expected = (TRANSLATIONS as f64 - 1.0) / 2.0 + offset;
    let axis = found(total, method);
    assert!((axis - expected).abs() <= 0.1, "{what}, {method:?}: {axis}, it is {expected}");
}

#[test]
fn known_offsets_are_found() {
    for offset in OFFSETS {
        let half = total(60, 180.0, offset, None);
        for method in [CentreMethod::Auto, CentreMethod::Mass, CentreMethod::Sharpness] {
            assert_found(&half, method, offset, "half a turn");
        }
        let whole = total(60, 360.0, offset, None);
        for method in [CentreMethod::Auto, CentreMethod::Mass, CentreMethod::Mirror] {
            assert_found(&whole, method, offset, "a whole turn");
        }
    }
}

#[test]
fn noise_does_not_move_the_axis() {
    for counts in [1000.0, 100.0] {
        for offset in [0.0, 0.37, -2.61, 9.2] {
            let what = format!("{counts} counts at most");
            let half = total(90, 180.0, offset, Some(counts));
            assert_found(&half, CentreMethod::Auto, offset, &what);
            assert_found(&half, CentreMethod::Mass, offset, &what);
            let whole = total(90, 360.0, offset, Some(counts));
            assert_found(&whole, CentreMethod::Mirror, offset, &what);
        }
    }
}

#[test]
fn a_sample_that_is_cut_off_is_found_by_sharpness() {
    // The field is narrower than the sample: centres of mass lie.
    let offset = 1.3;
    let scan = Trajectory {
        rotations: 120,
        translations: TRANSLATIONS,
        range: 180.0,
        field: 0.9,
        diameter: 0.95,
        axis_offset: offset,
    };
    let values = truth(&scan, 3).iter().fold(vec![0.0_f32; 120 * TRANSLATIONS], |sum, phase| {
        sum.iter().zip(&phase.sinogram).map(|(a, b)| a + b).collect()
    });
    let total = Sinograms { rays: Rays::centred(scan.angles(), TRANSLATIONS), bins: 1, values };
    let axis = found(&total, CentreMethod::Auto);
    let expected = (TRANSLATIONS as f64 - 1.0) / 2.0 + offset;
    assert!((axis - expected).abs() <= 0.5, "{axis}, it is {expected}");
}

#[test]
fn nothing_to_see_is_an_error() {
    let rays = Rays::centred((0..30).map(|i| f64::from(i) * 6.0).collect(), TRANSLATIONS);
    let empty = Sinograms { values: vec![0.0; rays.len()], rays, bins: 1 };
    let slice = |_: &Rays| Ok(vec![]);
    assert!(centre::find(&empty, CentreMethod::Mass, slice).is_err());
    // Half a turn has no rows that mirror each other.
    assert!(centre::find(&total(30, 180.0, 0.0, None), CentreMethod::Mirror, slice).is_err());
}
