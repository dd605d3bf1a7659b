//! The same frames as CBF and as HDF5: the same counts, patterns and tomograms, files that other readers open.

use std::path::Path;

use xrdct::geometry::detector::Orientation;
use xrdct::output::tomogram::Tomogram;
use xrdct::simulate::format::{BitDepth, MasterLayout, SeriesFormat, Stacking};
use xrdct::simulate::{Sample, SimulateError, Simulation, TRUTH_NAME, simulate};

use super::{contents, phantom, request};
use crate::support::{names, xrdct};

const MASTERS: [(&str, MasterLayout); 2] = [("eiger", MasterLayout::Eiger), ("nxmx", MasterLayout::Nxmx)];

fn stacked(master: MasterLayout, frames_per_file: usize) -> SeriesFormat {
    SeriesFormat::Hdf5(Stacking { master, depth: BitDepth::ThirtyTwo, frames_per_file })
}

#[track_caller]
fn done(folder: &Path, arguments: &[&str]) -> String {
    let done = xrdct(folder, arguments);
    assert_eq!(done.code, 0, "{arguments:?}: {}", done.stderr);
    done.stderr
}

fn numbers(file: &Path, name: &str) -> Vec<f64> {
    hdf5::File::open(file).expect("readable").dataset(name).expect("there").read_raw().expect("numbers")
}

/// A phantom of six rotations and nine translations in every form: `cbf`, `eiger` and `nxmx`, the HDF5 ones in three data files.
fn in_every_form(folder: &Path) {
    let phantom =
        "--phantom --detector Pilatus100k --rotations 6 --translations 9 --hot-pixels 3 --zigzag --seed 5";
    for (form, more) in [("cbf", ""), ("eiger", " --frames-per-file 20"), ("nxmx", " --frames-per-file 20")] {
        let line = format!("simulate {phantom} -o {form} --format {form}{more}");
        done(folder, &line.split(' ').collect::<Vec<_>>());
    }
}

#[test]
fn files_are_the_same_for_any_number_of_threads() {
    for (_, master) in MASTERS {
        let runs = [1, 4].map(|threads| {
            let folder = tempfile::tempdir().unwrap();
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let request = Simulation { format: stacked(master, 10), ..phantom(folder.path()) };
            let summary = pool.install(|| simulate(&request, &|| {})).unwrap();
            assert_eq!(summary.master, Some(folder.path().join("test_master.h5")));
            contents(folder.path())
        });
        let written: Vec<&str> = runs[0].keys().map(String::as_str).collect();
        let data = [1, 2, 3, 4].map(|number| format!("test_data_{number:06}.h5"));
        let expected =
            [&["geometry.poni"][..], &data.each_ref().map(String::as_str), &["test_master.h5", TRUTH_NAME]];
        assert_eq!(written, expected.concat());
        assert!(runs[0] == runs[1]);
    }
}

#[test]
fn patterns_and_tomograms_are_those_of_cbf_files() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path();
    in_every_form(folder);
    for form in ["cbf", "eiger", "nxmx"] {
        let (poni, result, tomogram) =
            (format!("{form}/geometry.poni"), format!("{form}.h5"), format!("{form}-tomo.h5"));
        let named = ["integrate", form, "--device", "cpu", "--npt", "200", "-o", &result, "--poni", &poni];
        done(folder, &[&named[..], &["--tomo", &tomogram]].concat());
        let auto = format!("{form}-auto.h5");
        let said = done(
            folder,
            &["integrate", form, "--device", "cpu", "--npt", "200", "-o", &auto, "--poni", "auto"],
        );
        assert!(said.contains("Pilatus100k, 0.3"), "{said}");
    }
    let read = |file: &str, name: &str| numbers(&folder.join(file), &format!("entry_0000/xrdct/{name}"));
    let expected = read("cbf.h5", "result/intensity");
    assert_eq!(expected.len(), 54 * 200);
    let slices = |form: &str| {
        let tomo = Tomogram::open(&folder.join(format!("{form}-tomo.h5"))).expect("opens");
        (0..tomo.layout.bins()).flat_map(|bin| tomo.slice(bin).expect("a slice")).collect::<Vec<f32>>()
    };
    let expected_slices = slices("cbf");
    let highest = expected_slices.iter().fold(0.0, |a: f32, b| a.max(b.abs()));
    assert!(highest > 10.0, "{highest}");
    for form in ["eiger", "nxmx"] {
        let named = format!("{form}.h5");
        assert!(read(&named, "result/intensity") == expected, "{form}");
        assert!(read(&named, "saturated") == read("cbf.h5", "saturated"), "{form}");
        for name in ["phi", "start_position", "exposure_time", "exposure_period"] {
            let (ours, theirs) =
                (read(&named, &format!("input/{name}")), read("cbf.h5", &format!("input/{name}")));
            // CBF headers have four digits of an angle, nine of a position.
            let worst = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            let digits = if name == "start_position" { 1e-9 } else { 1e-4 };
            assert!(ours.len() == 54 && worst < digits, "{form} {name}: {worst}");
        }
        // An HDF5 file has all digits of distance and centre.
        assert!(read(&format!("{form}-auto.h5"), "result/intensity") == expected, "{form}: --poni auto");
        let slices = slices(form);
        assert_eq!(slices.len(), expected_slices.len());
        let worst = slices.iter().zip(&expected_slices).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-5 * highest, "{form}: {worst} of {highest}");
    }
}

#[test]
fn info_says_what_the_master_says() {
    let scratch = tempfile::tempdir().unwrap();
    for (form, master) in MASTERS {
        let folder = scratch.path().join(form);
        simulate(&Simulation { format: stacked(master, 2), ..request(&folder) }, &|| {}).unwrap();
        let said = xrdct(&folder, &["info", "test_master.h5"]);
        assert_eq!(said.code, 0, "{}", said.stderr);
        for words in [
            "bitshuffle-LZ4",
            "frames           3\n",
            "195 x 487 (slow x fast), uint32",
            "Dectris PILATUS 100K, 00-0000",
            "Si, 320 µm",
            "172 x 172 µm",
            "0.200000 Å",
            "threshold        30996 eV",
            "11 pixels: 11 dead",
            "from 1048575 counts",
            "2026-01-01T08:00:00.000",
            "phi (deg)",
            "start_position (m)",
        ] {
            assert!(said.stdout.contains(words), "{form}: no {words:?} in:\n{}", said.stdout);
        }
    }
}

#[test]
fn sixteen_bits_hold_what_they_can() {
    let scratch = tempfile::tempdir().unwrap();
    let [wide, narrow] = [BitDepth::ThirtyTwo, BitDepth::Sixteen].map(|depth| {
        let stacking = Stacking { master: MasterLayout::Nxmx, depth, frames_per_file: 1000 };
        let folder = scratch.path().join(format!("{depth:?}"));
        let base = request(&folder);
        simulate(&Simulation { format: SeriesFormat::Hdf5(stacking), hot_pixels: 60, ..base }, &|| {})
            .unwrap();
        folder.join("test_master.h5")
    });
    let (pixels, fewer) = (numbers_of_frames(&wide), numbers_of_frames(&narrow));
    let high = pixels.iter().filter(|&&count| (65_535..u32::MAX).contains(&count)).count();
    assert!(high > 10, "{high}");
    let expected: Vec<u32> = pixels.iter().map(|&count| count.min(65_535)).collect();
    assert!(fewer == expected);
    let saturation = |file: &Path| numbers(file, "entry/instrument/detector/saturation_value");
    assert_eq!((saturation(&wide), saturation(&narrow)), (vec![1_048_575.0], vec![65_534.0]));
    assert_eq!(numbers(&narrow, "entry/instrument/detector/bit_depth_image"), [16.0]);
}

/// Counts of all frames, as `xrdct convert` unpacks them.
fn numbers_of_frames(master: &Path) -> Vec<u32> {
    let folder = master.parent().expect("a folder");
    done(folder, &["convert", "test_master.h5", "-o", "stack.h5"]);
    let stack = hdf5::File::open(folder.join("stack.h5")).expect("readable");
    stack.dataset("entry_0000/data/data").expect("there").read_raw().expect("counts")
}

#[test]
fn a_percent_sign_in_the_prefix_is_no_pattern() {
    let scratch = tempfile::tempdir().unwrap();
    let mut request = Simulation { format: stacked(MasterLayout::Nxmx, 2), ..request(scratch.path()) };
    request.destination.prefix = "50%b".to_owned();
    request.destination.first = 7;
    simulate(&request, &|| {}).unwrap();
    let master = scratch.path().join("50%b_master.h5");
    assert_eq!(numbers(&master, "entry/data/image_id"), [7.0, 8.0, 9.0]);
    let integrate = ["integrate", "50%b_master.h5", "--device", "cpu", "--npt", "50", "-o", "all.h5"];
    // A frame that is not there would be a bad one, and the exit code another.
    done(scratch.path(), &[&integrate[..], &["--poni", "geometry.poni"]].concat());
}

#[test]
fn existing_files_are_kept_unless_told_otherwise() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path();
    let mut request = Simulation { format: stacked(MasterLayout::Eiger, 1), ..request(folder) };
    simulate(&request, &|| {}).unwrap();
    let before = contents(folder);
    request.seed = 7;
    let error = simulate(&request, &|| {}).unwrap_err();
    assert!(matches!(&error, SimulateError::Exists { others: 4, .. }), "{error}");
    assert!(error.to_string().contains("test_data_000001.h5 exists already (and 4 more"), "{error}");
    assert!(before == contents(folder));

    request.destination.overwrite = true;
    let Sample::Powder { frames, .. } = &mut request.sample else { panic!("no powder") };
    *frames = 2;
    let summary = simulate(&request, &|| {}).unwrap();
    let after = contents(folder);
    assert!(before["test_data_000002.h5"] != after["test_data_000002.h5"]);
    assert!(before["test_master.h5"] != after["test_master.h5"]);
    assert_eq!(summary.strangers, [folder.join("test_data_000003.h5")]);
}

#[test]
fn a_series_that_fails_leaves_no_master() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path();
    let mut request = Simulation { format: stacked(MasterLayout::Nxmx, 3), ..phantom(folder) };
    simulate(&request, &|| {}).unwrap();
    // A folder in the way of the fifth data file.
    std::fs::remove_file(folder.join("test_data_000005.h5")).unwrap();
    std::fs::create_dir(folder.join("test_data_000005.h5")).unwrap();
    request.destination.overwrite = true;
    for threads in [1, 4] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let error = pool.install(|| simulate(&request, &|| {})).unwrap_err().to_string();
        assert!(error.contains("test_data_000005.h5") && error.contains("not an ordinary file"), "{error}");
        let left = names(folder);
        assert!(!left.iter().any(|name| name.contains("master") || name.contains(".part")), "{left:?}");
    }
}

#[test]
fn what_makes_no_files_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let message = |line: &str| {
        let line = format!("simulate -o out {line}");
        let refused = xrdct(scratch.path(), &line.split(' ').collect::<Vec<_>>());
        assert_eq!(refused.code, 2, "{}", refused.stderr);
        refused.stderr
    };
    assert!(message("--format eiger --frames-per-file 0").contains("frames of a file = 0 cannot be used"));
    assert!(message("--format eiger --bit-depth 8").contains("16 or 32 bits"));
    assert!(message("--bit-depth 16").contains("--format eiger or nxmx"));
    let huge = "--format nxmx --detector Detector --shape 32768 32768";
    assert!(message(huge).contains("less than 4 GiB"));
    assert!(names(scratch.path()).is_empty());
}

mod needs_oracle {
    use super::*;
    use crate::support::ask_oracle_code;

    #[test]
    fn h5py_and_fabio_read_the_counts_of_the_cbf_files() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path();
        in_every_form(folder);
        let script = r##"
import pathlib, sys
import fabio, h5py, hdf5plugin, numpy
folder = pathlib.Path(sys.argv[1])
cbf = numpy.array([fabio.open(str(path)).data for path in sorted((folder / "cbf").glob("*.cbf"))])
expected = numpy.where(cbf < 0, 2**32 - 1, cbf).astype("u4")
mask = numpy.select([cbf[0] == -1, cbf[0] == -2], [1, 2])
for form in ["eiger", "nxmx"]:
    master = folder / form / "frame_master.h5"
    image = fabio.open(str(master))
    assert type(image).__name__ == "EigerImage" and image.nframes == 54, (type(image), image.nframes)
    assert all((image.getframe(i).data == expected[i]).all() for i in range(54))
    with h5py.File(master) as file:
        data = file["entry/data"]
        frames = [data[name] for name in sorted(data) if name.startswith("data")]
        assert len(frames) == {"eiger": 3, "nxmx": 1}[form] and frames[0].dtype == "u4"
        assert (numpy.concatenate([part[()] for part in frames]) == expected).all()
        detector = file["entry/instrument/detector"]
        found = detector["pixel_mask"] if form == "nxmx" else detector["detectorSpecific/pixel_mask"]
        assert (found[()] == mask).all() and mask.max() == 2
    first = 1
    for path in sorted((folder / form).glob("frame_data_*.h5")):
        with h5py.File(path) as file:
            part = file["entry/data/data"]
            plist = part.id.get_create_plist()
            assert plist.get_nfilters() == 1 and plist.get_filter(0)[0] == 32008
            assert plist.get_filter(0)[2] == (0, 3, 4, 0, 2) and part.chunks == (1, 195, 487)
            assert part.attrs["image_nr_low"] == first
            assert part.attrs["image_nr_high"] == first + len(part) - 1
            first += len(part)
    print(form, first - 1)
"##;
        let printed = ask_oracle_code(script, &[folder]);
        assert_eq!(printed, "eiger 54\nnxmx 54\n");
    }

    /// What dxtbx's reader does: it follows `depends_on` from the module's axes to the laboratory.
    const WALK: &str = r##"
import sys, h5py, numpy
def matrix(axis):
    kind, vector = axis.attrs["transformation_type"], numpy.array(axis.attrs["vector"])
    size = {"m": 1.0, "degree": numpy.pi / 180}[axis.attrs["units"]] * numpy.ravel(axis[()])[0]
    result = numpy.identity(4)
    if kind == "rotation":
        x, y, z = vector
        cross = numpy.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        result[:3, :3] += numpy.sin(size) * cross + (1 - numpy.cos(size)) * cross @ cross
    else:
        assert kind == "translation", kind
        result[:3, 3] = size * vector
    assert axis.attrs["offset_units"] == "m"
    result[:3, 3] += axis.attrs["offset"]
    return result
def chain(file, path):
    total, names = numpy.identity(4), []
    while path != ".":
        names.append(path)
        axis = file[path]
        total = matrix(axis) @ total
        path = axis.attrs["depends_on"]
    return total, names
def panel(file):
    [detector] = [g for g in file["entry/instrument"].values() if g.attrs.get("NX_class") == "NXdetector"]
    [module] = [g for g in detector.values() if g.attrs.get("NX_class") == "NXdetector_module"]
    place, names = chain(file, module["fast_pixel_direction"].attrs["depends_on"])
    assert names[1:] == chain(file, detector["depends_on"][()].decode())[1], names
    axes = [module[n] for n in ("fast_pixel_direction", "slow_pixel_direction")]
    fast, slow = [axis[()] * (place[:3, :3] @ axis.attrs["vector"]) for axis in axes]
    return detector, module, place[:3, 3], fast, slow
"##;

    #[test]
    fn nxmx_chains_lead_to_the_place_that_the_poni_says() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path();
        let mut straight = Simulation { format: stacked(MasterLayout::Nxmx, 7), ..phantom(folder) };
        (straight.poni.rot1, straight.poni.rot2, straight.poni.rot3) = (0.0, 0.0, 0.0);
        simulate(&straight, &|| {}).unwrap();
        let script = WALK.to_owned()
            + r##"
file = h5py.File(sys.argv[1] + "/test_master.h5")
entry = file["entry"]
assert entry["definition"][()] == b"NXmx" and entry["data"].attrs["signal"] == "data"
assert entry["data/data"].is_virtual and entry["data/data"].shape == (36, 195, 487)
detector, module, corner, fast, slow = panel(file)
assert list(module["data_size"]) == [195, 487] and list(module["data_origin"]) == [0, 0]
assert abs(corner[2] - 0.2) < 1e-9 and abs(detector["distance"][()] - 0.2) < 1e-9
# Where the beam meets the panel, in pixels.
along = numpy.linalg.solve(numpy.array([fast, slow, [0, 0, -1]]).T, -corner)
assert abs(along[0] - 24) < 1e-9 and abs(along[1] - 97) < 1e-9 and abs(along[2] - 0.2) < 1e-9, along
assert abs(detector["beam_center_x"][()] - 24) < 1e-9 and abs(detector["beam_center_y"][()] - 97) < 1e-9
assert abs(entry["instrument/beam/incident_wavelength"][()] - 0.2) < 1e-12
assert detector["sensor_material"][()] == b"Si" and detector["saturation_value"][()] == 1048575
sample, names = chain(file, entry["sample/depends_on"][()].decode())
assert [name.rsplit("/", 1)[1] for name in names] == ["phi", "start_position"], names
with h5py.File(sys.argv[1] + "/truth.h5") as truth:
    frames = truth["phantom/frames"]
    assert numpy.allclose(file[names[0]][()], frames["rotation"][()], atol=1e-9)
    assert numpy.allclose(file[names[1]][()], frames["translation"][()] * 1e-3, atol=1e-12)
print("walked")
"##;
        assert_eq!(ask_oracle_code(&script, &[folder]), "walked\n");
    }

    #[test]
    fn a_tilted_panel_sees_the_angles_that_pyfai_computes() {
        let scratch = tempfile::tempdir().unwrap();
        let base = request(scratch.path());
        let orientations =
            [Orientation::TopLeft, Orientation::TopRight, Orientation::BottomRight, Orientation::BottomLeft];
        let script = WALK.to_owned()
            + r##"
import pyFAI
for folder in sys.argv[1:]:
    _, _, corner, fast, slow = panel(h5py.File(folder + "/test_master.h5"))
    rows, columns = numpy.mgrid[:195, :487] + 0.5
    x, y, z = [corner[i] + rows * slow[i] + columns * fast[i] for i in range(3)]
    angles = pyFAI.load(folder + "/geometry.poni").center_array((195, 487), unit="2th_rad")
    print(abs(numpy.arctan2(numpy.hypot(x, y), z) - angles).max() < 1e-9, fast, slow)
"##;
        let folders: Vec<_> = orientations
            .iter()
            .map(|&orientation| {
                let mut request = Simulation { format: stacked(MasterLayout::Nxmx, 1000), ..base.clone() };
                request.destination.folder = scratch.path().join(format!("{orientation:?}"));
                request.poni.detector.orientation = orientation;
                simulate(&request, &|| {}).unwrap();
                request.destination.folder
            })
            .collect();
        let folders: Vec<&Path> = folders.iter().map(|folder| &**folder).collect();
        let printed = ask_oracle_code(&script, &folders);
        assert_eq!(printed.matches("True").count(), 4, "{printed}");
    }
}
