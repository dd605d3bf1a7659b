//! What files, pages and lists say of themselves is so, as a user meets it at the command line.

use std::fs;
use std::os::unix::fs::MetadataExt;

use tempfile::TempDir;

use crate::support::{write_small_scan, xrdct};

fn scan(frames: usize) -> TempDir {
    let folder = tempfile::tempdir().expect("a scratch folder");
    write_small_scan(folder.path(), frames);
    folder
}

#[track_caller]
fn done(folder: &TempDir, arguments: &[&str]) -> String {
    let done = xrdct(folder.path(), arguments);
    assert_eq!(done.code, 0, "{}", done.stderr);
    done.stdout
}

const NPT: u64 = 1000;
const INTEGRATE: [&str; 6] = ["integrate", "--poni", "small.poni", "--npt", "1000", "scan"];

/// Bytes of a file, as its name says and on the disk.
fn sizes(folder: &TempDir, name: &str) -> (u64, u64) {
    let there = fs::metadata(folder.path().join(name)).expect("it was written");
    (there.len(), there.blocks() * 512)
}

#[test]
fn a_result_is_as_large_as_its_patterns_and_sums_are_asked_for() {
    let folder = scan(60);
    let intensities = 60 * NPT * 4;
    done(&folder, &[&INTEGRATE[..], &["-o", "plain.h5"]].concat());
    let (plain, on_disk) = sizes(&folder, "plain.h5");
    let besides = 60_000;
    assert!(plain < intensities + besides && on_disk < intensities + besides, "{plain}, {on_disk} on disk");

    // Dummies make the norms differ from those of all pixels, and they are the same for every frame.
    let sums = ["--sums", "--error-model", "poisson", "--dummy", "-2", "--delta-dummy", "1.5"];
    done(&folder, &[&INTEGRATE[..], &sums, &["-o", "sums.h5"]].concat());
    let (with_sums, on_disk) = sizes(&folder, "sums.h5");
    let (patterns, sums, norms) = (intensities * 3, intensities * 4, 2 * NPT * 3 * 8);
    let most = patterns + sums + norms + besides;
    assert!(with_sums < most && on_disk < most, "{with_sums} bytes, {on_disk} on disk, not {most}");

    let file = |name: &str| hdf5::File::open(folder.path().join(name)).expect("readable");
    assert!(!file("plain.h5").link_exists("entry_0000/xrdct/sums"));
    let sums = file("sums.h5");
    let signal: Vec<f64> =
        sums.dataset("entry_0000/xrdct/sums/signal").expect("there").read_raw().expect("numbers");
    assert_eq!(signal.len() as u64, 60 * NPT);
    assert_eq!(sums.dataset("entry_0000/xrdct/sums/norms").expect("there").shape(), [2, NPT as usize]);
    // The run says so of itself and repeats it.
    done(&folder, &["integrate", "--config", "sums.h5", "-o", "again.h5"]);
    assert!(file("again.h5").link_exists("entry_0000/xrdct/sums/norms"));
}

#[test]
fn a_map_does_not_pay_for_points_that_no_frame_comes_for() {
    let folder = scan(203);
    done(
        &folder,
        &[&INTEGRATE[..], &["--slow", "180", "--fast", "200", "--zigzag", "-o", "map.h5"]].concat(),
    );
    // Two lines of intensity and map, and what there is a point: its status, its checksum and its frame.
    let most = 2 * 200 * NPT * 8 + 180 * 200 * 9 + 200_000;
    let (size, on_disk) = sizes(&folder, "map.h5");
    assert!(size < most && on_disk < most, "{size} bytes, {on_disk} on disk, not {most}");
    let file = hdf5::File::open(folder.path().join("map.h5")).expect("readable");
    let intensity = file.dataset("entry_0000/pyFAI/result/intensity").expect("there");
    assert_eq!(intensity.shape(), [180, 200, 1000]);
    let rows: Vec<f32> = intensity.read_raw().expect("numbers");
    let is_there = |point: usize| rows[point * NPT as usize..][..NPT as usize].iter().all(|v| !v.is_nan());
    // Odd lines run backwards.
    let there: Vec<usize> = (0..180 * 200).filter(|&point| is_there(point)).collect();
    let expected: Vec<usize> = (0..200).chain(397..400).collect();
    assert_eq!(there, expected);
}

/// Names of the frames in the order of a result's rows.
fn rows(folder: &TempDir, result: &str) -> Vec<String> {
    let file = hdf5::File::open(folder.path().join(result)).expect("readable");
    let names = file.dataset("entry_0000/xrdct/input/file_names").expect("there");
    let names: Vec<hdf5::types::VarLenUnicode> = names.read_raw().expect("texts");
    let last = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
    names.iter().map(|name| last(name.as_str())).collect()
}

#[test]
fn a_list_keeps_its_order_and_its_repetitions() {
    let folder = scan(4);
    let name = |number: usize| format!("small_{number:05}.cbf");
    let order = [3, 0, 3, 1].map(name);
    let list: String = order.iter().map(|name| format!("scan/{name}\n")).collect();
    fs::write(folder.path().join("list.txt"), list).expect("writable");
    let integrate = ["integrate", "--poni", "small.poni", "--npt", "60"];
    let said = xrdct(folder.path(), &[&integrate[..], &["@list.txt", "-o", "list.h5"]].concat());
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stderr.contains("named again"), "it is said that a frame comes twice: {}", said.stderr);
    assert_eq!(rows(&folder, "list.h5"), order);
    done(&folder, &["integrate", "--config", "list.h5", "-o", "again.h5"]);
    assert_eq!(rows(&folder, "again.h5"), order);
    // Convert reads the same list.
    done(&folder, &["convert", "@list.txt", "-o", "stack.h5"]);
    let stack = hdf5::File::open(folder.path().join("stack.h5")).expect("readable");
    assert_eq!(stack.dataset("entry_0000/data/data").expect("there").shape()[0], 4);
    // What is typed keeps its order too; a folder is sorted.
    let typed = ["scan/small_00002.cbf", "scan/small_00001.cbf", "scan"];
    done(&folder, &[&integrate[..], &typed, &["-o", "typed.h5"]].concat());
    assert_eq!(rows(&folder, "typed.h5"), [2, 1, 0, 1, 2, 3].map(name));
}

#[test]
fn names_that_a_shell_sorted_are_taken_by_their_numbers_and_it_is_said() {
    let folder = scan(11);
    for number in 0..11 {
        let from = folder.path().join(format!("scan/small_{number:05}.cbf"));
        fs::rename(from, folder.path().join(format!("scan/f_{number}.cbf"))).expect("writable");
    }
    let command = format!(
        "LC_ALL=C; {} integrate --poni small.poni --npt 60 scan/*.cbf -o out.h5",
        env!("CARGO_BIN_EXE_xrdct")
    );
    let said = std::process::Command::new("sh").args(["-c", &command]).current_dir(folder.path()).output();
    let said = said.expect("sh runs");
    let errors = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success(), "{errors}");
    assert_eq!(rows(&folder, "out.h5"), (0..11).map(|n| format!("f_{n}.cbf")).collect::<Vec<_>>());
    assert!(errors.contains("f_10.cbf before") && errors.contains("@list keeps any order"), "{errors}");
}

/// A simulated tomogram scan: `scan/`, its result, its tomogram, its stack.
fn tomogram() -> TempDir {
    let folder = tempfile::tempdir().expect("a scratch folder");
    done(&folder, &["simulate", "--phantom", "--rotations", "6", "--translations", "7", "-o", "scan"]);
    let integrate = ["integrate", "--poni", "scan/geometry.poni", "--npt", "200", "--unit", "q_A^-1"];
    done(&folder, &[&integrate[..], &["-o", "result.h5", "scan"]].concat());
    done(&folder, &["tomo", "result.h5", "-o", "tomo.h5", "--region", "LaB6=2.08:2.20", "--filter", "hann"]);
    folder
}

#[track_caller]
fn says(text: &str, words: &[&str]) {
    words.iter().for_each(|word| assert!(text.contains(word), "no '{word}' in:\n{text}"));
}

#[test]
fn info_knows_every_file_that_this_program_writes() {
    let folder = tomogram();
    let info = done(&folder, &["info", "tomo.h5"]);
    let words = [
        "tomogram of xrdct",
        "complete",
        "slices/s",
        "result.h5",
        "6 rotations",
        "7 translations",
        "201 of 201 made",
        "7 x 7 pixels",
        "LaB6: 2.08000 … 2.20000 Å⁻¹",
        "filtered back-projection, filter hann",
        "rotation axis",
        "xrdct plot tomo.h5",
    ];
    says(&info, &words);

    done(&folder, &["convert", "scan", "-o", "stack.h5", "--gzip=4"]);
    let info = done(&folder, &["info", "stack.h5"]);
    let words = [
        "stack of decoded frames of xrdct",
        "42 x 195 x 487 (frames x slow x fast), int32",
        "gzip level 4",
        "42 good",
        "42 files",
        "silx view stack.h5",
    ];
    says(&info, &words);

    let info = done(&folder, &["info", "scan/truth.h5"]);
    says(&info, &["truth of a scan that xrdct simulated", "LaB6: map 7 x 7", "sinogram 6 x 7"]);

    drop(hdf5::File::create(folder.path().join("other.h5")).expect("writable"));
    let other = xrdct(folder.path(), &["info", "other.h5"]);
    assert_eq!(other.code, 3, "{}", other.stderr);
    says(&other.stderr, &["other.h5", "none of xrdct's", "/entry_0000/tomo"]);
}

#[test]
fn names_and_values_are_apart() {
    let folder = scan(1);
    let path = folder.path().join("scan/small_00000.cbf");
    let bytes = fs::read(&path).expect("readable");
    let at = bytes.windows(12).position(|w| w == b"# Pixel_size").expect("a header");
    let long =
        b"# N_excluded_pixels = 321\r\n# Threshold_setting: 4024 eV\r\n# Estimated_flux_of_the_beam 1e9\r\n";
    fs::write(&path, [&bytes[..at], long, &bytes[at..]].concat()).expect("writable");
    let info = done(&folder, &["info", "scan/small_00000.cbf"]);
    for (name, value) in [
        ("N_excluded_pixels", "321"),
        ("Threshold_setting", "4024 eV"),
        ("Estimated_flux_of_the_beam", "1e9"),
    ] {
        let line = info.lines().find(|line| line.starts_with(name)).expect(name);
        let rest = &line[name.len()..];
        assert!(rest.starts_with(' ') && rest.trim() == value, "{line}");
    }
    // In one column.
    let column = |name: &str, value: &str| {
        info.lines().find(|line| line.starts_with(name)).and_then(|line| line.find(value)).expect(name)
    };
    assert_eq!(column("kind", "CBF"), column("N_excluded_pixels", "321"));
}

/// LaTeX, and pyFAI's names in small letters, as they stood in what people read.
const NOT_FOR_PEOPLE: [&str; 6] = ["$", "\\", "^{", "q_a^-1", "\"", "null"];

#[track_caller]
fn is_for_people(what: &str, text: &str) {
    for odd in NOT_FOR_PEOPLE {
        assert!(!text.contains(odd), "{what} prints {odd}:\n{text}");
    }
}

#[test]
fn units_are_said_as_people_write_them() {
    let folder = tomogram();
    let integrate = ["integrate", "--poni", "scan/geometry.poni", "--unit", "q_A^-1", "scan"];
    let plan = done(&folder, &[&integrate[..], &["--dry-run", "-o", "x.h5"]].concat());
    says(&plan, &["1000 in q_A^-1, bbox splitting"]);
    let study = done(&folder, &["tomo", "result.h5", "--region", "LaB6=2.08:2.20", "--dry-run"]);
    says(&study, &["LaB6 2.08000 to 2.20000 Å⁻¹"]);
    let outside = xrdct(folder.path(), &["tomo", "result.h5", "-o", "x.h5", "--radial-range", "80", "90"]);
    says(&outside.stderr, &["no bin lies in it", "Å⁻¹"]);
    let far = xrdct(folder.path(), &["plot", "result.h5", "map", "--at", "80", "-o", "x.png"]);
    let info = done(&folder, &["info", "result.h5", "tomo.h5"]);
    says(&info, &["Å⁻¹"]);
    for (what, text) in [
        ("--dry-run", &plan),
        ("tomo", &study),
        ("tomo", &outside.stderr),
        ("plot", &far.stderr),
        ("info", &info),
    ] {
        is_for_people(what, text);
    }
    // Files keep pyFAI's own.
    let file = hdf5::File::open(folder.path().join("result.h5")).expect("readable");
    let unit = file.dataset("entry_0000/xrdct/result/q").and_then(|q| q.attr("unit")).expect("there");
    let unit: hdf5::types::VarLenUnicode = unit.read_scalar().expect("a text");
    assert_eq!(unit.as_str(), "\\AA^{-1}");
}

/// What a reader of a page sees: no tags, styles, pictures and code, and nothing that is folded but its headline.
fn seen(page: &str) -> String {
    let mut text = page.to_owned();
    for (open, close) in
        [("<style>", "</style>"), ("<svg", "</svg>"), ("<pre>", "</pre>"), ("</summary>", "</details>")]
    {
        while let Some(from) = text.find(open) {
            let to = text[from..].find(close).expect(close) + from + close.len();
            text.replace_range(from..to, "\n");
        }
    }
    let mut inside = false;
    let kept = text.chars().filter(|c| {
        let was_inside = inside || *c == '<';
        inside = (inside || *c == '<') && *c != '>';
        !was_inside
    });
    kept.collect::<String>().replace("&quot;", "\"").replace("&#39;", "'").replace("&amp;", "&")
}

#[test]
fn a_report_is_a_page_for_a_reader() {
    let folder = tomogram();
    let more =
        ["--polarization", "0.99", "--slow", "6", "--fast", "7", "--zigzag", "--error-model", "poisson"];
    let integrate = ["integrate", "--poni", "scan/geometry.poni", "--npt", "200", "--unit", "q_A^-1", "scan"];
    done(&folder, &[&integrate[..], &more, &["-o", "map.h5"]].concat());
    done(&folder, &["report", "map.h5", "--tomo", "tomo.h5", "-o", "report.html"]);
    let page = fs::read_to_string(folder.path().join("report.html")).expect("written");
    let text = seen(&page);
    let words = [
        "a map of 6 x 7 points",
        "200 bins each; with errors",
        "42 good",
        "200 bins in q_A^-1",
        "bounding box",
        "the whole circle",
        "the detector's own",
        "corrected, factor 0.99",
        "Poisson",
        "6 lines of 7 points",
        "Pilatus100k",
        "geometry.poni",
        "keV",
        "filtered back-projection, filter hann",
        "Å⁻¹",
        "42 files",
    ];
    says(&text, &words);
    is_for_people("the report", &text);
    // Raw JSON, and its keys, are for programs.
    for odd in ["{", "[", "_file", "nbpt", "true", "false", "\"worker\""] {
        assert!(!text.contains(odd), "the page shows {odd}:\n{text}");
    }
    // The names of all frames are there, folded.
    let name = "frame_00020.cbf";
    assert!(!text.contains(name), "{text}");
    let folded =
        page.find("<details>").map(|at| &page[at..page.find("</details>").expect("closed")]).expect("folded");
    assert!(folded.contains(name), "{folded}");
    assert!(!page.contains("null"), "a null is on the page");
}
