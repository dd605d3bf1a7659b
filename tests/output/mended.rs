//! Results whose writer was killed at the very end.

use std::fs;

use xrdct::output::result::{EarlierResult, Ending, Progress, ResultFile, ResultInfo};

use super::{beside, layout, pattern};

/// The library cuts the table of norms off before it writes the new length: killed in between, a file is shorter than its header says.
#[test]
fn a_file_that_was_cut_before_its_header_said_so_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("result.h5");
    let mut layout = layout(40, 17);
    (layout.beside, layout.sums) = (beside(true), true);
    let mut file = ResultFile::create(&path, &layout, false).unwrap();
    for n in 0..20 {
        file.put(pattern(n, 17, true)).unwrap();
    }
    drop(file);
    let whole = fs::read(&path).unwrap();
    // Zeros, zero and three sets of 17 bins: what is behind them was never written.
    let behind = whole.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    assert!(behind + 1000 < whole.len(), "{behind} of {}", whole.len());
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(behind as u64).unwrap();
    let error = ResultInfo::open(&path).unwrap_err().to_string();
    assert!(error.contains("it is shorter than it says") && error.contains("--resume mends"), "{error}");
    assert!(EarlierResult::open(&path).is_err());
    let mended = EarlierResult::open_to_go_on(&path).unwrap();
    assert_eq!((mended.info.progress.clone(), mended.info.frames_done()), (Progress::Running, 20));
    assert_eq!(fs::read(&path).unwrap(), whole);

    // One that was complete lost something, and one of somebody else is not ours to change.
    let complete = folder.path().join("complete.h5");
    let mut file = ResultFile::create(&complete, &layout, false).unwrap();
    for n in 0..40 {
        file.put(pattern(n, 17, true)).unwrap();
    }
    file.finish(&Ending::Complete).unwrap();
    let foreign = folder.path().join("foreign.h5");
    let h5 = hdf5::File::with_options().with_fapl(|access| access.libver_latest()).create(&foreign).unwrap();
    h5.new_dataset_builder().with_data(&[1.5_f64; 20_000]).create("data").unwrap();
    h5.close().unwrap();
    for path in [complete, foreign] {
        let bytes = fs::read(&path).unwrap();
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(bytes.len() as u64 - 500).unwrap();
        let before = fs::read(&path).unwrap();
        assert!(EarlierResult::open_to_go_on(&path).is_err(), "{}", path.display());
        assert!(fs::read(&path).unwrap() == before, "{} was changed", path.display());
    }
}
