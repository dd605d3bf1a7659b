//! The kernels that leave patterns on the device and make sinograms of them, under the emulator, against the host's.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use xrdct::cuda::params::{XRDCT_GOOD, XRDCT_TRUNCATED, XrdctAssembly, XrdctRecipe, XrdctRows, XrdctVerdict};
use xrdct::cuda::tomo::AssemblyTables;

use super::assembly_cases;
use super::emulated::{build, bytes_of, run_on, values_of};

fn emulator() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| build("tests/gpu/emulate_assembly.cpp", "emulate-assembly"))
}

#[test]
fn sinograms_are_the_hosts() {
    let program = emulator();
    let mut without = 0;
    for case in assembly_cases::all() {
        let each = case.assembly.rays().len();
        // All bins, and some in the middle.
        for bins in [0..case.npt, 2..case.npt - 1] {
            let tables = AssemblyTables::new(&case.assembly, case.npt, Some);
            let sizes = XrdctAssembly { first: bins.start as u32, bins: bins.len() as u32, ..tables.sizes };
            let answer = run_on(
                program,
                case.name,
                &[
                    bytes_of(&[1_u32]),
                    bytes_of(&[sizes]),
                    bytes_of(&[u32::from(case.assembly.stripes)]),
                    bytes_of(&case.patterns),
                    bytes_of(&tables.shares),
                    bytes_of(&tables.starts),
                    bytes_of(&tables.sources),
                    bytes_of(&tables.factors),
                    bytes_of(&tables.shifts),
                ],
            );
            let (mut values, marks) = (values_of::<f32>(&answer[0]), values_of::<u32>(&answer[1]));
            let empty: Vec<usize> = (0..bins.len()).filter(|bin| marks[*bin] != 0).collect();
            empty.iter().for_each(|bin| values[bin * each..(bin + 1) * each].fill(0.0));
            assembly_cases::assert_same(&case, bins, &values, &empty);
            without += empty.len();
        }
    }
    assert!(without > 0, "no case has a bin without data");
}

#[test]
fn patterns_are_sums_over_norms() {
    let program = emulator();
    const BINS: usize = 300;
    let scale = 2.0_f64.powi(40);
    // Bin 7 has no pixels; the third frame is damaged; the second one loses something in bins 5 and 9, all of it in bin 11.
    let mut norms: Vec<f64> = (0..2 * BINS).map(|i| 1.5 + i as f64 / 7.0).collect();
    norms[7] = 0.0;
    norms[BINS + 7] = 0.0;
    let fixed: Vec<i64> = norms.iter().map(|n| (n * scale) as i64).collect();
    let signal: Vec<f64> = (0..3 * BINS).map(|i| i as f64 * 0.37 + 0.1).collect();
    let mut deficits = vec![0_i64; 3 * 3 * BINS];
    for (bin, part) in [(5, 3), (9, 2), (11, 1)] {
        deficits[3 * BINS + bin] = fixed[bin] / part;
        deficits[4 * BINS + bin] = fixed[BINS + bin] / part;
    }
    let verdict = |status| XrdctVerdict { status, codes: 0 };
    let verdicts = [verdict(XRDCT_GOOD), verdict(XRDCT_GOOD), verdict(XRDCT_TRUNCATED)];
    let mut rows = XrdctRows { empty: -1.0, ..XrdctRows::default() };
    rows.row[..3].copy_from_slice(&[2, 0, 1]);
    rows.factor[..3].copy_from_slice(&[0.7, 1.0, 3.0]);
    let recipe = XrdctRecipe {
        bins: BINS as u32,
        scale_n: scale as f32,
        scale_n2: scale as f32,
        ..XrdctRecipe::default()
    };
    for with_deficits in [true, false] {
        let lost = |frame: usize, term: usize, bin: usize| match with_deficits {
            true => deficits[(frame * 3 + term) * BINS + bin],
            false => 0,
        };
        let norm = |frame: usize, term: usize, bin: usize| match lost(frame, term, bin) {
            0 => norms[term * BINS + bin],
            lost => (fixed[term * BINS + bin] - lost) as f64 / scale,
        };
        let pattern = |frame: usize| -> Vec<f32> {
            let value = |bin: usize| match norm(frame, 1, bin) <= 0.0 {
                true => -1.0,
                false => (signal[frame * BINS + bin] / (norm(frame, 0, bin) * rows.factor[frame])) as f32,
            };
            (0..BINS).map(value).collect()
        };
        // The damaged frame's row stays as it was.
        let expected = [pattern(1), vec![f32::MAX; BINS], pattern(0)].concat();
        let answer = run_on(
            program,
            "patterns",
            &[
                bytes_of(&[0_u32]),
                bytes_of(&[recipe]),
                bytes_of(&[rows]),
                bytes_of(&verdicts),
                bytes_of(&signal),
                if with_deficits { bytes_of(&deficits) } else { &[] },
                bytes_of(&norms),
                bytes_of(&fixed),
                bytes_of(&[f32::MAX; 3 * BINS]),
            ],
        );
        assert!(values_of::<f32>(&answer[0]) == expected, "with deficits: {with_deficits}");
    }
}
