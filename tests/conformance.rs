//! The same numbers as pyFAI 2026.9.0 and FabIO, on real detector frames, through the program itself; geometry of files is pyFAI's, too.

use std::path::Path;

use crate::support::{ask_oracle, data};

/// Runs a script that ends with "N passed, M failed": all must have passed, and `at_least` of them.
fn conform(script: &str, data: &Path, at_least: usize) {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let printed = ask_oracle(script, &[Path::new(env!("CARGO_BIN_EXE_xrdct")), data, scratch.path()]);
    println!("{printed}");
    let last = printed.lines().last().and_then(|line| line.strip_suffix(" passed, 0 failed"));
    let passed = last.and_then(|passed| passed.parse::<usize>().ok());
    assert!(passed.is_some_and(|passed| passed >= at_least), "{at_least} cases at least:\n{printed}");
}

mod needs_oracle {
    use super::*;

    #[test]
    fn patterns_of_every_unit_and_layout_are_pyfais() {
        conform("detector_patterns.py", Path::new("none"), 160);
    }

    #[test]
    fn the_geometry_of_vectors_is_where_they_point_or_refused() {
        conform("placement.py", Path::new("none"), 28);
    }
}

mod needs_data {
    use super::*;

    mod needs_oracle {
        use super::*;

        #[test]
        fn patterns_are_pyfais() {
            conform("conformance.py", data("cbf").parent().expect("cbf is below the data"), 385);
        }

        #[test]
        fn statistics_and_errors_are_pyfais() {
            conform("statistics.py", data("cbf").parent().expect("cbf is below the data"), 535);
        }

        #[test]
        fn patterns_of_hdf5_files_are_pyfais() {
            conform("hdf5_patterns.py", &data("eiger"), 32);
        }

        #[test]
        fn converted_frames_are_fabios() {
            conform("convert.py", &data("cbf"), 12);
        }
    }
}
