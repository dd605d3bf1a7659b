//! From inputs to the list of frames: order, repetitions, and what each wrong input is told.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use xrdct::source::listing::{Listing, ListingError, expand, list};

/// A folder with these (empty) files.
fn folder(files: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for file in files {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, "").expect("written");
    }
    folder
}

/// What the inputs (relative to `folder`) give, relative to `folder`.
fn expanded(folder: &Path, inputs: &[&str]) -> Result<Vec<String>, ListingError> {
    listed(folder, inputs).map(|(files, _)| files)
}

/// The same with its notes.
fn listed(folder: &Path, inputs: &[&str]) -> Result<(Vec<String>, Vec<String>), ListingError> {
    let inputs: Vec<String> = inputs
        .iter()
        .map(|input| match input.strip_prefix('@') {
            Some(list) => format!("@{}", folder.join(list).display()),
            None => folder.join(input).display().to_string(),
        })
        .collect();
    let relative = |path: PathBuf| path.strip_prefix(folder).expect("inside").display().to_string();
    let Listing { files, notes } = list(&inputs)?;
    assert_eq!(files, expand(&inputs)?);
    Ok((files.into_iter().map(relative).collect(), notes))
}

#[test]
fn a_folder_gives_its_frames_by_the_numbers_in_their_names() {
    let folder = folder(&[
        "scan_10_2.cbf",
        "scan_9_10.cbf",
        "scan_9_9.cbf.gz",
        "scan_0009_1.cbf.bz2",
        "SCAN_1.CBF",
        "scan_1.txt",
        ".scan_2.cbf",
        "inside/scan_3.cbf",
        "scan_18446744073709551617.cbf",
    ]);
    let found = expanded(folder.path(), &["."]).expect("frames");
    let order = [
        "SCAN_1.CBF",
        "scan_0009_1.cbf.bz2",
        "scan_9_9.cbf.gz",
        "scan_9_10.cbf",
        "scan_10_2.cbf",
        "scan_18446744073709551617.cbf",
    ];
    assert_eq!(found, order);
}

#[test]
fn a_folder_gives_one_kind_of_images_and_says_what_stays_behind() {
    let folder = folder(&[
        "all/f_2.cbf",
        "all/f_10.cbf.gz",
        "all/dark.edf",
        "all/mask.npy",
        "tif/f_10.tif",
        "tif/f_9.TIFF",
        "tif/f_1.tif.bz2",
        "tif/dark_1.edf.gz",
        "tif/dark_2.edf",
        "h5/s_1_master.h5",
        "h5/s_2_master.h5",
        "h5/s_1_data_000001.h5",
        "h5/mask.edf",
        "result/f_1.edf",
        "result/f_2.edf",
        "result/result.h5",
        "edf/f_2.edf.bz2",
        "edf/f_1.edf",
        "edf/notes.txt",
        "npy/b.npy",
        "npy/a.npy.gz",
    ]);
    for (input, files, note) in [
        (
            "all",
            &["all/f_2.cbf", "all/f_10.cbf.gz"][..],
            Some("its CBF files are taken, others are not (1 EDF, 1 NumPy)"),
        ),
        (
            "tif",
            &["tif/f_1.tif.bz2", "tif/f_9.TIFF", "tif/f_10.tif"],
            Some("its TIFF files are taken, others are not (2 EDF)"),
        ),
        (
            "h5",
            &["h5/s_1_master.h5", "h5/s_2_master.h5"],
            Some("its HDF5 files are taken, others are not (1 EDF)"),
        ),
        (
            "result",
            &["result/f_1.edf", "result/f_2.edf"],
            Some("its EDF files are taken, others are not (1 HDF5)"),
        ),
        ("edf", &["edf/f_1.edf", "edf/f_2.edf.bz2"], None),
        ("npy", &["npy/a.npy.gz", "npy/b.npy"], None),
        ("n*", &["npy/a.npy.gz", "npy/b.npy"], None),
        ("tif/*.edf", &["tif/dark_2.edf"], None),
    ] {
        let (found, notes) = listed(folder.path(), &[input]).expect("images");
        assert_eq!(found, files, "{input}");
        assert_eq!(notes.len(), usize::from(note.is_some()), "{notes:?}");
        assert!(note.is_none_or(|note| notes[0].contains(note)), "{notes:?}");
    }
}

#[test]
fn inputs_keep_their_order_and_what_a_folder_or_glob_brings_is_sorted() {
    let folder = folder(&["a/f_1.cbf", "a/f_2.cbf", "a/g_1.cbf", "b/f_1.cbf", "b/note.txt", "poni/p.poni"]);
    let at = folder.path();
    assert_eq!(expanded(at, &["*/f_1.cbf"]).expect("frames"), ["a/f_1.cbf", "b/f_1.cbf"]);
    assert_eq!(expanded(at, &["*"]).expect("frames"), ["a/f_1.cbf", "a/f_2.cbf", "a/g_1.cbf", "b/f_1.cbf"]);
    assert_eq!(expanded(at, &["**/f_?.cbf"]).expect("frames"), ["a/f_1.cbf", "a/f_2.cbf", "b/f_1.cbf"]);
    // A folder that is matched beside its own files brings each once.
    assert_eq!(
        expanded(at, &["**/*"]).expect("frames"),
        ["a/f_1.cbf", "a/f_2.cbf", "a/g_1.cbf", "b/f_1.cbf", "b/note.txt", "poni/p.poni"]
    );
    let (joined, notes) = listed(at, &["b", "a/g_1.cbf", "a/./f_2.cbf", "a/f*"]).expect("frames");
    assert_eq!(joined, ["b/f_1.cbf", "a/g_1.cbf", "a/f_2.cbf", "a/f_1.cbf", "a/f_2.cbf"]);
    assert!(
        notes.len() == 1 && notes[0].contains("named again") && notes[0].contains("a/f_2.cbf"),
        "{notes:?}"
    );

    fs::write(at.join("list.txt"), "# frames\n\n  b/f_1.cbf  \na/f_?.cbf\r\nb/f_1.cbf\na\n")
        .expect("written");
    let (listed, notes) = listed(at, &["@list.txt"]).expect("frames");
    let order = ["b/f_1.cbf", "a/f_1.cbf", "a/f_2.cbf", "b/f_1.cbf", "a/f_1.cbf", "a/f_2.cbf", "a/g_1.cbf"];
    assert_eq!(listed, order);
    assert!(notes[0].starts_with("3 frames are named again"), "{notes:?}");
}

/// A shell expands a glob before the program sees it, letter by letter: C's order, and that of most locales.
#[test]
fn a_shells_glob_is_sorted_by_numbers_and_every_other_order_is_kept() {
    let folder = folder(&[
        "f_1.cbf",
        "f_2.cbf",
        "f_10.cbf",
        "f_20.cbf",
        "a/9.cbf",
        "a/10.cbf",
        "a/11.cbf",
        "x_1/f.cbf",
        "x_2/f.cbf",
        "x_10/f.cbf",
    ]);
    let at = folder.path();
    for (typed, order) in [
        (&["f_1.cbf", "f_10.cbf", "f_2.cbf"][..], &["f_1.cbf", "f_2.cbf", "f_10.cbf"][..]),
        (&["f_10.cbf", "f_1.cbf", "f_20.cbf", "f_2.cbf"], &["f_1.cbf", "f_2.cbf", "f_10.cbf", "f_20.cbf"]),
        (
            &["f_1.cbf", "f_10.cbf", "f_2.cbf", "a/10.cbf", "a/11.cbf", "a/9.cbf"],
            &["f_1.cbf", "f_2.cbf", "f_10.cbf", "a/9.cbf", "a/10.cbf", "a/11.cbf"],
        ),
        (&["x_1", "x_10", "x_2"], &["x_1/f.cbf", "x_2/f.cbf", "x_10/f.cbf"]),
        (&["x_1/f.cbf", "x_10/f.cbf", "x_2/f.cbf"], &["x_1/f.cbf", "x_2/f.cbf", "x_10/f.cbf"]),
    ] {
        let (found, notes) = listed(at, typed).expect("frames");
        assert_eq!(found, order, "{typed:?}");
        assert!(!notes.is_empty() && notes[0].contains("in the order of their numbers"), "{notes:?}");
    }
    for kept in [
        &["f_2.cbf", "f_1.cbf"][..],
        &["f_10.cbf", "f_2.cbf"],
        &["f_10.cbf", "f_2.cbf", "f_1.cbf"],
        &["f_2.cbf", "f_1.cbf", "f_10.cbf"],
        &["f_1.cbf", "f_2.cbf", "f_10.cbf"],
        &["x_10/f.cbf", "f_2.cbf", "f_1.cbf"],
    ] {
        let (found, notes) = listed(at, kept).expect("frames");
        assert_eq!(found, kept);
        assert_eq!(notes.len(), 0, "{notes:?}");
    }
    fs::write(at.join("list.txt"), "f_1.cbf\nf_10.cbf\nf_2.cbf\n").expect("written");
    let (found, notes) = listed(at, &["@list.txt"]).expect("frames");
    assert_eq!((found, notes.len()), (["f_1.cbf", "f_10.cbf", "f_2.cbf"].map(String::from).to_vec(), 0));
}

#[test]
fn a_file_whose_name_looks_like_a_glob_is_a_file() {
    let folder = folder(&["scan[1].cbf", "scan1.cbf"]);
    assert_eq!(expanded(folder.path(), &["scan[1].cbf"]).expect("frames"), ["scan[1].cbf"]);
}

#[test]
fn inputs_that_name_nothing_are_told_so() {
    let folder = folder(&["empty/note.txt", "f_1.cbf"]);
    let at = folder.path();
    fs::write(at.join("empty.txt"), "# nothing\n").expect("written");
    fs::write(at.join("wrong.txt"), "f_1.cbf\nf_2.cbf\n").expect("written");
    fs::write(at.join("nested.txt"), "@list.txt\n").expect("written");
    for (input, words) in [
        ("f_2.cbf", "f_2.cbf: no such file or folder"),
        ("empty", "empty: the folder has no .cbf, .cbf.gz or .cbf.bz2 file"),
        ("g_*.cbf", "g_*.cbf: no file matches this pattern"),
        ("empty/*/", "no file matches"),
        ("[.cbf", "[.cbf: not a valid pattern"),
        ("@none.txt", "none.txt: the list cannot be read"),
        ("@empty.txt", "empty.txt: the list names no file"),
        ("@wrong.txt", "wrong.txt: line 2: f_2.cbf: no such file or folder"),
        ("@nested.txt", "nested.txt: line 1: a list cannot name another list (@list.txt)"),
    ] {
        let message = expanded(at, &["f_1.cbf", input]).expect_err(input).to_string();
        assert!(message.contains(words), "{input}: {message}");
    }
    assert!(matches!(expand(&[]), Err(ListingError::NoInput)));
}
