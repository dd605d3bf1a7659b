//! Tomograms of a textured sample: grains that shine into different sectors are found in the slices of these sectors, in their places.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use tempfile::{TempDir, tempdir};
use xrdct::frame::{FrameHeader, FrameId, Norms, Pattern};
use xrdct::output::result::{BinAxis, Ending, Layout, Raster, ResultFile};
use xrdct::output::tomogram::Tomogram;

use crate::support::{ask_oracle_code, names, side_by_side, write_small_scan, xrdct};

const ROTATIONS: usize = 24;
const TRANSLATIONS: usize = 25;
/// The rotation axis, translation steps from the first.
const AXIS: f64 = 12.0;
/// Azimuthal bins, 30° each from -180 on.
const AZIMUTHS: usize = 12;
const RADII: usize = 5;
/// The radial bin that grains shine into.
const LINE: usize = 2;

/// A grain, a disc: where it is, how large, which azimuthal bins it shines into.
struct Grain {
    at: [f64; 2],
    radius: f64,
    azimuths: [usize; 3],
}

/// One shines from -180 to -90°, the other from 0 to 90°.
const GRAINS: [Grain; 2] = [
    Grain { at: [-4.0, 3.0], radius: 2.5, azimuths: [0, 1, 2] },
    Grain { at: [5.0, -2.0], radius: 3.0, azimuths: [6, 7, 8] },
];

/// Normalisation of a bin: no two azimuths alike; bin (4, 0) has no pixel.
fn norm(azimuth: usize, radius: usize) -> f64 {
    if (azimuth, radius) == (4, 0) { 0.0 } else { (3 + (7 * azimuth + 2 * radius) % 5) as f64 }
}

/// What a ray meets of a grain.
fn chord(grain: &Grain, rotation: usize, translation: usize) -> f64 {
    let (sin, cos) = (rotation as f64 * 180.0 / ROTATIONS as f64).to_radians().sin_cos();
    let beside = translation as f64 - AXIS - (grain.at[0] * cos - grain.at[1] * sin);
    2.0 * (grain.radius * grain.radius - beside * beside).max(0.0).sqrt()
}

/// Intensity of a bin: a background of a disc that holds both grains, and the grains.
fn intensity(row: usize, azimuth: usize, radius: usize) -> f64 {
    let (rotation, translation) = (row / TRANSLATIONS, row % TRANSLATIONS);
    let glass = Grain { at: [0.0, 0.0], radius: 10.0, azimuths: [0; 3] };
    let of_grain = |grain: &Grain| match radius == LINE && grain.azimuths.contains(&azimuth) {
        true => 10.0 * chord(grain, rotation, translation),
        false => 0.0,
    };
    chord(&glass, rotation, translation) + GRAINS.iter().map(of_grain).sum::<f64>()
}

/// The mean over all azimuth, as a powder pattern has it.
fn powder(row: usize, radius: usize) -> f64 {
    let all = || 0..AZIMUTHS;
    let sum: f64 = all().map(|azimuth| norm(azimuth, radius) * intensity(row, azimuth, radius)).sum();
    sum / all().map(|azimuth| norm(azimuth, radius)).sum::<f64>()
}

fn axis(name: &str, unit: &str, centres: impl Iterator<Item = f64>) -> BinAxis {
    BinAxis { name: name.into(), unit: unit.into(), long_name: name.into(), centres: centres.collect() }
}

/// Writes a scan with the product's own writer; a value and a norm a bin.
fn write(
    path: &Path,
    axes: Vec<BinAxis>,
    is_map: bool,
    sums: bool,
    value: impl Fn(usize, usize) -> (f64, f64),
) {
    let mut layout = Layout::new(ROTATIONS * TRANSLATIONS, axes);
    layout.sums = sums;
    layout.scan = is_map.then(|| Raster::new(ROTATIONS, TRANSLATIONS, false));
    let mut file = ResultFile::create(path, &layout, false).expect("a file");
    for row in 0..layout.frames {
        let (intensity, norm): (Vec<f64>, Vec<f64>) = (0..layout.npt()).map(|bin| value(row, bin)).unzip();
        let signal = side_by_side(&intensity, &norm).map(|(i, n)| i * n).collect();
        let pattern = Pattern {
            id: FrameId(row),
            header: FrameHeader::default(),
            intensity: intensity.into_iter().map(|v| v as f32).collect(),
            sem: None,
            std: None,
            count: None,
            signal,
            variance: None,
            norms: Arc::new(Norms {
                normalization: norm.clone(),
                normalization_squared: norm.clone(),
                count: norm,
            }),
            saturated: 0,
        };
        file.put(Ok(pattern)).expect("written");
    }
    file.finish(&Ending::Complete).expect("finished");
}

/// The sample as cakes with and without norms, and as powder patterns.
fn sample() -> TempDir {
    let folder = tempdir().expect("a scratch folder");
    let radial = || axis("q", "nm^-1", (0..RADII).map(|r| r as f64 + 0.5));
    let azimuthal = || axis("azimuthal", "deg", (0..AZIMUTHS).map(|a| a as f64 * 30.0 - 165.0));
    let of_cake = |row: usize, bin: usize| {
        let norm = norm(bin / RADII, bin % RADII);
        (if norm > 0.0 { intensity(row, bin / RADII, bin % RADII) } else { 0.0 }, norm)
    };
    let at = |name: &str| folder.path().join(name);
    write(&at("cakes.h5"), vec![azimuthal(), radial()], true, true, of_cake);
    write(&at("plain.h5"), vec![azimuthal(), radial()], false, false, of_cake);
    write(&at("powder.h5"), vec![radial()], true, false, |row, bin| (powder(row, bin), 1.0));
    folder
}

const SCAN: [&str; 18] = [
    "--device",
    "cpu",
    "--rotations",
    "24",
    "--translations",
    "25",
    "--rotation",
    "0:172.5:24",
    "--zigzag",
    "no",
    "--centre",
    "12",
    "--keep-spikes",
    "--region",
    "grain=1:4:none",
    "--region",
    "empty=0:1:none",
    "-o",
];

/// Reconstructs a result; what was said, and the tomogram.
fn tomo(folder: &Path, input: &str, output: &str, more: &[&str]) -> (String, Tomogram) {
    let done = xrdct(folder, &[&["tomo", input], &SCAN[..], &[output], more].concat());
    assert_eq!(done.code, 0, "{output}: {}{}", done.stdout, done.stderr);
    (done.stdout, Tomogram::open(&folder.join(output)).expect("a tomogram"))
}

/// Mean of a slice within a grain, well inside of it.
fn inside(slice: &[f32], tomo: &Tomogram, grain: &Grain) -> f64 {
    let (x, y) = (&tomo.layout.x, &tomo.layout.y);
    let is_in = |i: &usize| {
        let (dx, dy) = (x[i % x.len()] - grain.at[0], y[i / x.len()] - grain.at[1]);
        dx.hypot(dy) < grain.radius - 1.2
    };
    let seen: Vec<f64> = (0..slice.len()).filter(is_in).map(|i| f64::from(slice[i])).collect();
    assert!(seen.len() > 3, "{} pixels", seen.len());
    seen.iter().sum::<f64>() / seen.len() as f64
}

/// Slices of all bins, then pictures of all regions, as bits.
fn bits(tomo: &Tomogram) -> Vec<u32> {
    let layout = &tomo.layout;
    let mut values: Vec<f32> = Vec::new();
    for bin in 0..layout.bins() {
        values.extend(tomo.slice(bin).expect("a slice"));
        values.extend(tomo.sinogram(bin).expect("a sinogram"));
    }
    for picture in 0..layout.regions.len() * layout.parts() {
        let images = tomo.region(picture).expect("a region");
        values.extend(images.tomogram.into_iter().chain(images.sinogram));
    }
    values.into_iter().map(f32::to_bits).collect()
}

/// The largest difference of two slices, as a part of the largest value.
fn apart(found: &[f32], wanted: &[f32]) -> f64 {
    let most = wanted.iter().filter(|v| v.is_finite()).fold(0.0_f32, |most, v| most.max(v.abs()));
    let differ = |(a, b): (&f32, &f32)| if a.is_nan() && b.is_nan() { 0.0 } else { (a - b).abs() };
    f64::from(
        side_by_side(found, wanted)
            .map(differ)
            .fold(0.0_f32, |most, d| if d > most || d.is_nan() { d } else { most })
            / most,
    )
}

#[test]
fn each_sectors_slice_shows_its_grain_and_all_add_up_to_the_whole() {
    let folder = sample();
    let (said, sectors) = tomo(folder.path(), "cakes.h5", "sectors.h5", &["--sectors", "4"]);
    assert!(said.contains("χ -180 … -90°, χ -90 … 0°, χ 0 … 90°, χ 90 … 180°"), "{said}");
    assert!(said.contains("azimuthal bins count by their normalisation"), "{said}");
    let layout = &sectors.layout;
    assert_eq!(layout.sectors, [[-180.0, -90.0], [-90.0, 0.0], [0.0, 90.0], [90.0, 180.0]]);
    assert_eq!((layout.bins(), layout.slices(), layout.mean.len()), (20, 28, 20));
    // A grain is as bright as it is in its own sector, and like its surroundings in any other.
    for (number, grain) in GRAINS.iter().enumerate() {
        for sector in 0..4 {
            let slice = sectors.slice(layout.bin(sector, LINE)).expect("a slice");
            let wanted = if sector == 2 * number { 11.0 } else { 1.0 };
            let found = inside(&slice, &sectors, grain);
            assert!((found - wanted).abs() < 0.45, "grain {number}, sector {sector}: {found}, not {wanted}");
        }
    }
    // Without sectors, and of powder patterns, the file is the same; weighted by norms sectors add up to it.
    let (_, whole) = tomo(folder.path(), "cakes.h5", "whole.h5", &[]);
    let (_, powder) = tomo(folder.path(), "powder.h5", "powder-tomo.h5", &[]);
    assert!(whole.layout.sectors.is_empty() && whole.layout.bins() == RADII);
    for radius in 0..RADII {
        let wanted = powder.slice(radius).expect("a slice");
        let all = whole.slice(radius).expect("a slice");
        assert!(apart(&all, &wanted) < 1e-6, "bin {radius}: all azimuth differs by {}", apart(&all, &wanted));
        let mut sum = vec![0.0_f64; wanted.len()];
        let weight =
            |sector: usize| (3 * sector..3 * sector + 3).map(|azimuth| norm(azimuth, radius)).sum::<f64>();
        for sector in 0..4 {
            let slice = sectors.slice(layout.bin(sector, radius)).expect("a slice");
            sum.iter_mut().zip(&slice).for_each(|(sum, v)| *sum += weight(sector) * f64::from(*v));
        }
        let all: f64 = (0..4).map(weight).sum();
        let sum: Vec<f32> = sum.into_iter().map(|v| (v / all) as f32).collect();
        assert!(apart(&sum, &wanted) < 2e-6, "bin {radius}: sectors differ by {}", apart(&sum, &wanted));
    }
    // Regions are areas of their sectors.
    for sector in 0..4 {
        let area = sectors.region(layout.picture(sector, 1)).expect("a region").tomogram;
        let bins = (1..4).map(|bin| sectors.slice(layout.bin(sector, bin)).expect("a slice"));
        let sum = bins.reduce(|a, b| side_by_side(&a, &b).map(|(a, b)| a + b).collect()).expect("bins");
        assert_eq!(layout.regions[1].name, "grain");
        assert!(apart(&area, &sum) < 2e-6, "sector {sector}: {}", apart(&area, &sum));
    }
}

#[test]
fn sectors_may_lie_anywhere_and_need_no_norms() {
    let folder = sample();
    // Over the cut there are bins 11 and 0: of the first grain half of one sector's bins.
    let ranges = ["--sectors", "0:90, 150:210,-30:0"];
    let (said, sectors) = tomo(folder.path(), "plain.h5", "ranges.h5", &ranges);
    assert!(said.contains("azimuthal bins count alike: the result keeps no norms"), "{said}");
    assert!(said.contains("one that holds 0 in every frame is taken for empty"), "{said}");
    assert_eq!(sectors.layout.sectors, [[-30.0, 0.0], [0.0, 90.0], [150.0, 210.0]]);
    let found = |sector: usize, grain: &Grain| {
        inside(&sectors.slice(sectors.layout.bin(sector, LINE)).expect("a slice"), &sectors, grain)
    };
    for (sector, wanted) in [(0, [1.0, 1.0]), (1, [1.0, 11.0]), (2, [6.0, 1.0])] {
        for (grain, wanted) in GRAINS.iter().zip(wanted) {
            assert!(
                (found(sector, grain) - wanted).abs() < 0.45,
                "{sector}: {} not {wanted}",
                found(sector, grain)
            );
        }
    }
    // One bin of one sector has no pixel anywhere: no number, and not 0.
    let (said, alone) = tomo(folder.path(), "plain.h5", "alone.h5", &["--sectors", "-60:-30,-30:0"]);
    assert!(said.contains("1 of 10 bins hold no data at some point"), "{said}");
    assert!(said.contains("region empty, χ -60 … -30°: 1 of its 1 bins hold no data"), "{said}");
    assert!(alone.slice(0).expect("a slice").iter().all(|v| v.is_nan()) && alone.layout.mean[0].is_nan());
    assert!(alone.slice(alone.layout.bin(1, 0)).expect("a slice").iter().all(|v| v.is_finite()));
}

#[test]
fn memory_settings_and_ranges_do_not_change_a_bit_of_a_sector() {
    let folder = sample();
    let options = ["--sectors", "6"];
    let (_, large) = tomo(folder.path(), "cakes.h5", "large.h5", &options);
    let small = [&options[..], &["--memory", "100k", "--threads", "1"]].concat();
    let (_, small) = tomo(folder.path(), "cakes.h5", "small.h5", &small);
    assert!(bits(&large) == bits(&small), "--memory changes slices");
    let repeat = ["tomo", "cakes.h5", "--device", "cpu", "--config", "large.h5", "-o", "again.h5"];
    assert_eq!(xrdct(folder.path(), &repeat).code, 0);
    let again = Tomogram::open(&folder.path().join("again.h5")).expect("a tomogram");
    assert!(bits(&large) == bits(&again), "--config");
    let range = [&options[..], &["--radial-range", "2", "4"]].concat();
    let (_, part) = tomo(folder.path(), "cakes.h5", "part.h5", &range);
    assert_eq!((part.layout.bins(), part.layout.slices()), (12, 24));
    for sector in 0..6 {
        let slice = |tomo: &Tomogram, bin: usize| tomo.slice(tomo.layout.bin(sector, bin)).expect("a slice");
        assert_eq!(slice(&part, 1), slice(&large, 3), "sector {sector}");
        let mean = |tomo: &Tomogram, bin: usize| tomo.layout.mean[tomo.layout.bin(sector, bin)];
        assert_eq!(mean(&part, 0), mean(&large, 2), "sector {sector}");
    }
    let only = [&options[..], &["--regions-only"]].concat();
    let (_, only) = tomo(folder.path(), "cakes.h5", "only.h5", &only);
    assert_eq!((only.layout.bins(), only.layout.slices()), (0, 12));
    for picture in 0..12 {
        let of = |tomo: &Tomogram| {
            tomo.region(picture).expect("a region").tomogram.iter().map(|v| v.to_bits()).collect::<Vec<_>>()
        };
        assert_eq!(of(&only), of(&large), "picture {picture}");
    }
}

#[test]
fn sectors_that_are_none_are_refused_and_nothing_is_written() {
    let folder = sample();
    let before = names(folder.path());
    for (input, sectors, words) in [
        ("cakes.h5", "5", "12 azimuthal bins do not make 5 equal sectors; they make 1, 2, 3, 4, 6, 12"),
        ("cakes.h5", "0", "do not make 0 equal sectors"),
        ("cakes.h5", "400", "do not make 400 equal sectors"),
        ("cakes.h5", "1:2", "no azimuthal bin has its centre in 1:2; bins go from -165.000"),
        ("cakes.h5", "0:90,60:120", "χ 0 … 90° and χ 60 … 120° share azimuthal bins"),
        ("cakes.h5", "170:200,-180:-150", "share azimuthal bins"),
        ("cakes.h5", "90:0", "a sector goes from LOW up to HIGH"),
        ("cakes.h5", "0:400", "at most 360"),
        ("cakes.h5", "0:90,", "`` is no LOW:HIGH"),
        ("cakes.h5", "north", "`north` is no LOW:HIGH"),
        ("cakes.h5", "0:nan", "a sector goes from LOW up to HIGH"),
        ("cakes.h5", "1:2:3", "`1:2:3` is no LOW:HIGH"),
        ("powder.h5", "4", "no azimuthal axis; integrate with --npt-azim"),
    ] {
        let done =
            xrdct(folder.path(), &[&["tomo", input], &SCAN[..], &["new.h5", "--sectors", sectors]].concat());
        assert!(done.code == 2 && done.stderr.contains(words), "{sectors}: {} {}", done.code, done.stderr);
    }
    assert_eq!(names(folder.path()), before);
}

#[test]
fn pictures_and_info_know_sectors() {
    let folder = sample();
    tomo(folder.path(), "cakes.h5", "sectors.h5", &["--sectors", "4"]);
    tomo(folder.path(), "powder.h5", "plain-tomo.h5", &[]);
    let plot = |name: &str, more: &[&str]| {
        let done = xrdct(folder.path(), &[&["plot", "sectors.h5", "-o", name], more].concat());
        assert_eq!(done.code, 0, "{more:?}: {}", done.stderr);
        fs::read_to_string(folder.path().join(name)).expect("a picture")
    };
    let overview = plot("all.svg", &[]);
    for words in
        ["Mean pattern of each sector", ">grain<", "0 (χ -180 … -90°)", "3 (χ 90 … 180°)", "y (step)"]
    {
        assert!(overview.contains(words), "no `{words}`");
    }
    let one = plot("one.svg", &["--sector", "2"]);
    assert!(one.contains("Mean pattern, χ 0 … 90°") && one.contains("grain: tomogram"));
    let slice = plot("slice.svg", &["tomogram", "--bin", "2", "--sector", "2"]);
    assert!(slice.contains("q = 2.50000 nm⁻¹, χ 0 … 90°: tomogram"));
    assert_ne!(slice, plot("other.svg", &["tomogram", "--bin", "2", "--sector", "1"]));
    assert!(
        plot("sinogram.svg", &["sinogram", "--region", "grain"]).contains("grain, χ -180 … -90°: sinogram")
    );
    assert!(plot("mean.svg", &["pattern", "--sector", "3"]).contains("χ 90 … 180°"));
    for (file, sector, words) in [
        ("sectors.h5", &["4"][..], "there are 0 (χ -180 … -90°), 1"),
        ("sectors.h5", &["-1"], "there are 0"),
        ("sectors.h5", &["0.5"], "there are 0"),
        ("sectors.h5", &["0", "90"], "of a tomogram it is one number"),
        ("plain-tomo.h5", &["0"], "the tomogram is of all azimuth"),
        ("cakes.h5", &["0"], "of a result it is LOW HIGH"),
    ] {
        let done = xrdct(folder.path(), &[&["plot", file, "-o", "no.svg", "--sector"], sector].concat());
        assert!(done.code == 2 && done.stderr.contains(words), "{file} {sector:?}: {}", done.stderr);
    }
    let info = xrdct(folder.path(), &["info", "sectors.h5"]).stdout;
    assert!(info.contains("0: χ -180 … -90°") && info.contains("28 of 28 made"), "{info}");
    let report = ["report", "cakes.h5", "--tomo", "sectors.h5", "-o", "page.html"];
    assert_eq!(xrdct(folder.path(), &report).code, 0);
    let page = fs::read_to_string(folder.path().join("page.html")).expect("a page");
    assert!(page.contains("Mean pattern of each sector") && page.contains("Mean of 600 cakes"));
}

/// Said before the first frame is integrated.
#[test]
fn sectors_of_powder_patterns_are_refused_at_once() {
    let folder = tempdir().expect("a scratch folder");
    write_small_scan(folder.path(), 4);
    let integrate =
        ["integrate", "--poni", "small.poni", "--npt", "20", "--device", "cpu", "scan", "-o", "r.h5"];
    let refused = |more: &[&str], words: &str| {
        let done = xrdct(folder.path(), &[&integrate[..], &["--tomo", "t.h5"], more].concat());
        assert!(done.code == 2 && done.stderr.contains(words), "{more:?}: {} {}", done.code, done.stderr);
        assert!(!names(folder.path()).iter().any(|name| name == "r.h5" || name == "t.h5"), "{more:?}");
    };
    refused(&["--tomo-options", "--sectors 4"], "--sectors needs an azimuthal axis, which --npt-azim gives");
    refused(
        &["--npt-azim", "12", "--tomo-options", "--sectors 4"],
        "`xrdct tomo` the result, with --sectors",
    );
}

mod needs_oracle {
    use super::*;

    /// What h5py finds by default attributes alone.
    const LOOK: &str = "
import sys, h5py
with h5py.File(sys.argv[1]) as h5:
    entry = h5[h5.attrs['default']]
    data = entry[entry.attrs['default']]
    print(list(data.attrs['axes']), data[data.attrs['signal']].shape)
    bounds = data[data['azimuthal'].attrs['bounds']][()]
    print(data['azimuthal'][()].tolist(), bounds.tolist())
    assert (bounds.mean(axis=1) == data['azimuthal'][()]).all()
    for name in ['sinogram', 'mean_pattern', 'regions/grain/tomogram', 'regions/grain/sinogram']:
        group = entry['tomo'][name]
        shape = group[group.attrs['signal']].shape
        assert shape == tuple(len(group[axis]) for axis in group.attrs['axes']), (name, shape)
    plain = h5py.File(sys.argv[2])['entry_0000/tomo/tomogram']
    print(list(plain.attrs['axes']), plain['tomogram'].shape, 'azimuthal' in plain)
";

    /// The second half of all slices undone, as by a run that was killed.
    const UNDO: &str = "
import sys, h5py
with h5py.File(sys.argv[1], 'r+') as h5:
    tomo = h5['entry_0000/tomo']
    done = tomo['bin_done'][()]
    done[len(done) // 2:] = 0
    tomo['bin_done'][...] = done
    slices = tomo['tomogram/tomogram'][()]
    slices.reshape((-1,) + slices.shape[2:])[len(done) // 2:] = -1
    tomo['tomogram/tomogram'][...] = slices
    for region in tomo['regions'].values():
        region['tomogram/tomogram'][...] = -1
";

    #[test]
    fn sectors_are_an_axis_like_any_other() {
        let folder = sample();
        tomo(folder.path(), "cakes.h5", "sectors.h5", &["--sectors", "4"]);
        tomo(folder.path(), "cakes.h5", "whole.h5", &[]);
        let at = |name: &str| folder.path().join(name);
        let seen = ask_oracle_code(LOOK, &[&at("sectors.h5"), &at("whole.h5")]);
        let wanted = "['azimuthal', 'q', 'y', 'x'] (4, 5, 25, 25)\n\
                      [-135.0, -45.0, 45.0, 135.0] [[-180.0, -90.0], [-90.0, 0.0], [0.0, 90.0], [90.0, 180.0]]\n\
                      ['q', 'y', 'x'] (5, 25, 25) False";
        assert_eq!(seen.trim(), wanted);
    }

    #[test]
    fn what_a_killed_run_left_is_gone_on_with() {
        let folder = sample();
        let (_, whole) = tomo(folder.path(), "cakes.h5", "whole.h5", &["--sectors", "4"]);
        tomo(folder.path(), "cakes.h5", "cut.h5", &["--sectors", "4"]);
        ask_oracle_code(UNDO, &[&folder.path().join("cut.h5")]);
        assert!(bits(&whole) != bits(&Tomogram::open(&folder.path().join("cut.h5")).expect("a tomogram")));
        let (_, again) = tomo(folder.path(), "cakes.h5", "cut.h5", &["--sectors", "4", "--resume"]);
        assert!(again.done.len() == 28 && again.done.iter().all(|done| *done));
        assert!(bits(&whole) == bits(&again), "--resume changes slices");
        let other = [&["tomo", "cakes.h5"], &SCAN[..], &["cut.h5", "--sectors", "2", "--resume"]].concat();
        let done = xrdct(folder.path(), &other);
        assert!(done.code == 5 && done.stderr.contains("other options"), "{}", done.stderr);
    }
}
