//! Results of two axes, read back: sectors whose means are those of their pixels, cakes as pictures, and tomograms of a textured sample.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;
use xrdct::frame::{BadFrame, FrameHeader, FrameId, FrameStatus, Norms, Pattern};
use xrdct::output::result::{BinAxis, Ending, Layout, Patterns, Raster, ResultFile, Sector, SectorError};

use crate::support::{ask_oracle_code, side_by_side, write_small_scan, xrdct};

/// Azimuthal bins of the made results: 30° each.
const AZIMUTHS: usize = 12;
/// Radial bins of them.
const RADII: usize = 5;

/// Centres of so many bins over the whole circle, from `from` on.
fn circle(from: f64, bins: usize) -> Vec<f64> {
    let width = 360.0 / bins as f64;
    (0..bins).map(|bin| from + (bin as f64 + 0.5) * width).collect()
}

fn axes() -> Vec<BinAxis> {
    let axis = |name: &str, unit: &str, long_name: &str, centres: Vec<f64>| BinAxis {
        name: name.into(),
        unit: unit.into(),
        long_name: long_name.into(),
        centres,
    };
    vec![
        axis("azimuthal", "deg", r"Azimuthal angle $\chi$ ($^{o}$)", circle(-180.0, AZIMUTHS)),
        axis("q", "nm^-1", "Scattering vector $q$ ($nm^{-1}$)", (0..RADII).map(|r| r as f64 + 0.5).collect()),
    ]
}

/// What a bin of a row holds: intensity and normalisation; 0 where it has no pixel.
type Value = fn(row: usize, azimuth: usize, radius: usize) -> (f64, f64);

/// Writes a result of these bins with the product's own writer; row 3 is bad.
fn write(path: &Path, edit: impl Fn(&mut Layout), value: Value) {
    let mut layout = Layout::new(12, axes());
    edit(&mut layout);
    let mut file = ResultFile::create(path, &layout, false).expect("a file");
    for n in 0..layout.frames {
        let bins = (0..AZIMUTHS * RADII).map(|bin| value(n, bin / RADII, bin % RADII));
        let (intensity, norm): (Vec<f64>, Vec<f64>) = bins.unzip();
        let outcome = match n {
            3 => Err(BadFrame { id: FrameId(n), status: FrameStatus::Corrupt, message: "cut".into() }),
            _ => Ok(Pattern {
                id: FrameId(n),
                header: FrameHeader::default(),
                intensity: intensity.iter().map(|v| *v as f32).collect(),
                sem: None,
                std: None,
                count: None,
                signal: side_by_side(&intensity, &norm).map(|(i, n)| i * n).collect(),
                variance: None,
                norms: Arc::new(Norms {
                    normalization: norm.clone(),
                    normalization_squared: norm.clone(),
                    count: norm,
                }),
                saturated: 0,
            }),
        };
        file.put(outcome).expect("written");
    }
    file.finish(&Ending::Complete).expect("finished");
}

/// Bins differ in value and weight; bin 5 never has pixels, bin 7 has none in odd rows.
fn uneven(row: usize, azimuth: usize, radius: usize) -> (f64, f64) {
    let has_pixels = azimuth != 5 && (azimuth != 7 || row.is_multiple_of(2));
    let value = (100 * row + 10 * azimuth + radius) as f64 + 0.25;
    if has_pixels { (value, (1 + azimuth * radius) as f64) } else { (0.0, 0.0) }
}

/// The same in every row, so that bins without a pixel can be told without norms.
fn even(row: usize, azimuth: usize, radius: usize) -> (f64, f64) {
    let (value, norm) = uneven(2 * row, azimuth, radius);
    // Counted nothing, once: that is a measurement.
    if row == 4 && azimuth == 2 { (0.0, norm) } else { (value, norm) }
}

#[test]
fn sectors_have_the_bins_whose_centres_lie_in_them() {
    let centres = circle(-180.0, 36);
    let between = |low, high| Sector::between(&centres, low, high);
    let bins = |low, high| between(low, high).expect("a sector").bins;
    assert_eq!(bins(-180.0, -150.0), [0, 1, 2]);
    assert_eq!(bins(0.0, 10.0), [18]);
    // Over the cut, said in either way, and the whole circle from anywhere.
    let across = between(170.0, 190.0).expect("a sector");
    assert_eq!((&across.bins[..], across.bounds), (&[35, 0][..], [170.0, 190.0]));
    assert_eq!(across.name(), "χ 170 … 190°");
    assert_eq!(bins(-190.0, -170.0), [35, 0]);
    assert_eq!(bins(530.0, 550.0), [35, 0]);
    assert_eq!(bins(95.0, 455.0).len(), 36);
    // A centre on an end belongs to the sector that begins there, and what a sector is called is what it has.
    assert_eq!((bins(-5.0, 5.0), bins(5.0, 15.0)), (vec![17], vec![18]));
    assert_eq!(between(-5.0, 5.0).expect("a sector").bounds, [-10.0, 0.0]);
    for (low, high) in [(10.0, 10.0), (20.0, 10.0), (0.0, 361.0), (f64::NAN, 1.0), (0.0, f64::INFINITY)] {
        assert!(matches!(between(low, high), Err(SectorError::Ends { .. })), "{low}:{high}");
    }
    let nothing = between(1.0, 2.0).expect_err("no centre lies there").to_string();
    assert!(nothing.contains("no azimuthal bin has its centre in 1:2; bins go from -175.000"), "{nothing}");
    // An axis that is a part of the circle, beyond 180.
    let part = [172.5, 177.5, 182.5, 187.5];
    let sector = Sector::between(&part, -180.0, -160.0).expect("a sector");
    assert_eq!((&sector.bins[..], sector.bounds), (&[2, 3][..], [-180.0, -170.0]));
    assert!(Sector::between(&part, 0.0, 90.0).is_err());
    let bounds: Vec<[f64; 2]> =
        Sector::equal(&part, 2).expect("two").into_iter().map(|sector| sector.bounds).collect();
    assert_eq!(bounds, [[170.0, 180.0], [180.0, 190.0]]);
    let unequal = Sector::equal(&centres, 8).expect_err("36 are no 8 equal ones").to_string();
    assert!(unequal.contains("they make 1, 2, 3, 4, 6, 9, 12, 18, 36"), "{unequal}");
    assert!(Sector::equal(&centres, 0).is_err() && Sector::equal(&centres, 37).is_err());
}

proptest! {
    #[test]
    fn sectors_side_by_side_share_nothing_and_lose_nothing(
        bins in 1_usize..400,
        from in -720.0_f64..720.0,
        cuts in proptest::collection::vec(0.0_f64..360.0, 1..6),
        cut in -180.0_f64..180.0,
    ) {
        let centres = circle(cut, bins);
        let mut ends: Vec<f64> = cuts.into_iter().map(|cut| from + cut).collect();
        ends.sort_by(f64::total_cmp);
        ends.push(ends[0] + 360.0);
        let mut found: Vec<usize> = Vec::new();
        for pair in ends.windows(2).filter(|pair| pair[0] < pair[1]) {
            if let Ok(sector) = Sector::between(&centres, pair[0], pair[1]) {
                prop_assert!(sector.bounds[1] - sector.bounds[0] < 360.0 + 1e-6);
                found.extend(sector.bins);
            }
        }
        found.sort_unstable();
        prop_assert_eq!(found, (0..bins).collect::<Vec<_>>());
    }
}

/// The mean of some bins' pixels, as the sums have it; `None` without pixels.
fn mean(value: Value, row: usize, azimuths: &[usize], radius: usize, is_weighted: bool) -> Option<f64> {
    let of_bins =
        || azimuths.iter().map(|azimuth| value(row, *azimuth, radius)).filter(|(_, norm)| *norm > 0.0);
    let weight = |norm: f64| if is_weighted { norm } else { 1.0 };
    let sum: f64 = of_bins().map(|(value, norm)| value * weight(norm)).sum();
    let norm: f64 = of_bins().map(|(_, norm)| weight(norm)).sum();
    (norm > 0.0).then(|| sum / norm)
}

#[test]
fn a_sectors_pattern_is_the_mean_of_its_pixels() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = |layout: &mut Layout| layout.sums = true;
    let of_nan = |layout: &mut Layout| layout.configuration = json!({ "xrdct": { "empty": "NaN" } });
    let map = |layout: &mut Layout| {
        layout.sums = true;
        layout.scan = Some(Raster::new(4, 3, true));
    };
    type Edit<'a> = &'a dyn Fn(&mut Layout);
    let cases: [(&str, Edit<'_>, Value, bool, &str); 4] = [
        ("sums", &kept, uneven, true, "count by their normalisation"),
        ("map", &map, uneven, true, "count by their normalisation"),
        ("plain", &|_| (), even, false, "one that holds 0 in every frame is taken for empty"),
        ("nan", &of_nan, even, false, "count alike"),
    ];
    for (name, edit, value, is_weighted, words) in cases {
        let path = folder.path().join(format!("{name}.h5"));
        let blank = |row, azimuth, radius| match value(row, azimuth, radius) {
            (_, 0.0) => (f64::NAN, 0.0),
            bin => bin,
        };
        match name {
            "nan" => write(&path, edit, |row, a, r| match even(row, a, r) {
                (_, 0.0) => (f64::NAN, 0.0),
                bin => bin,
            }),
            _ => write(&path, edit, value),
        }
        let patterns = Patterns::open(&path).expect("a result of two axes");
        assert_eq!(patterns.axes, axes());
        assert_eq!((patterns.npt(), patterns.rows()), (RADII, 12));
        let said = patterns.averaging().expect("two axes");
        assert!(said.contains(words), "{name}: {said}");
        let azimuthal = &patterns.azimuthal().expect("an azimuthal axis").centres;
        let sectors = [
            Sector::whole(azimuthal),
            Sector::between(azimuthal, 120.0, 240.0).expect("a sector"),
            Sector::between(azimuthal, -30.0, 30.0).expect("a sector"),
            // Bin 5 alone has no pixel.
            Sector::between(azimuthal, -30.0, 0.0).expect("a sector"),
        ];
        assert_eq!(sectors[1].bins, [10, 11, 0, 1]);
        let read = patterns.read_sectors(&sectors, 0..RADII).expect("readable");
        let mut places = read.iter();
        for row in 0..12 {
            // Odd lines of the map run backwards.
            let frame = patterns.frames[row].expect("every point was measured");
            for sector in &sectors {
                for radius in 0..RADII {
                    let found = *places.next().expect("a value each");
                    let wanted = mean(value, frame, &sector.bins, radius, is_weighted).filter(|_| frame != 3);
                    match wanted {
                        Some(wanted) => assert!(
                            (f64::from(found) - wanted).abs() <= 2e-7 * wanted,
                            "{name}: frame {frame}, {}, bin {radius}: {found}, not {wanted}",
                            sector.name()
                        ),
                        None => assert!(found.is_nan(), "{name}: frame {frame}, {}: {found}", sector.name()),
                    }
                }
            }
            let cake = patterns.cake(row).expect("readable");
            for (bin, found) in cake.iter().enumerate() {
                let (wanted, norm) = blank(frame, bin / RADII, bin % RADII);
                let is_there = norm > 0.0 && frame != 3;
                assert!(
                    if is_there { *found == wanted as f32 } else { found.is_nan() },
                    "{name}: {frame} {bin}"
                );
            }
        }
        // Bins read by themselves have the same bits.
        for bin in 0..RADII {
            let alone = patterns.read_sectors(&sectors, bin..bin + 1).expect("readable");
            let together = read.chunks(RADII).map(|pattern| pattern[bin]);
            assert!(alone.iter().map(|v| v.to_bits()).eq(together.map(f32::to_bits)), "{name}: bin {bin}");
        }
        let whole: Vec<u32> =
            read.chunks(4 * RADII).flat_map(|row| row[..RADII].iter().map(|v| v.to_bits())).collect();
        let powder = patterns.read(0..RADII).expect("readable");
        assert!(powder.into_iter().map(f32::to_bits).eq(whole), "{name}: the powder pattern");
        let mean_cake = patterns.mean_cake().expect("readable");
        assert!(mean_cake.cake[5 * RADII..6 * RADII].iter().all(|v| v.is_nan()), "{name}: no pixel");
        let rows = (0..12).filter(|row| *row != 3).map(|row| value(row, 2, 1).0);
        let wanted = rows.clone().sum::<f64>() / rows.count() as f64;
        assert!((f64::from(mean_cake.cake[2 * RADII + 1]) - wanted).abs() < 1e-3, "{name}");
    }
}

#[test]
fn what_is_no_result_of_two_axes_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("other.h5");
    let problem = |edit: &dyn Fn(&mut Layout)| {
        let mut layout = Layout::new(2, axes());
        edit(&mut layout);
        ResultFile::create(&path, &layout, true)
            .expect("a file")
            .finish(&Ending::Complete)
            .expect("finished");
        Patterns::open(&path).expect_err("refused").to_string()
    };
    let radians = problem(&|layout| layout.axes[0].unit = "rad".into());
    assert!(
        radians.contains("2 axes (azimuthal rad, q nm⁻¹)") && radians.contains("in degrees"),
        "{radians}"
    );
    let fibre = problem(&|layout| layout.axes[0].name = "qoop".into());
    assert!(fibre.contains("2 axes (qoop deg, q nm⁻¹)"), "{fibre}");
    let three = problem(&|layout| {
        let first = BinAxis { name: "energy".into(), ..layout.axes[0].clone() };
        layout.axes.insert(0, first);
    });
    assert!(three.contains("3 axes"), "{three}");
}

/// Runs the program; what it printed and said.
fn run(folder: &Path, arguments: &[&str]) -> String {
    let done = xrdct(folder, arguments);
    assert_eq!(done.code, 0, "{arguments:?}: {}{}", done.stdout, done.stderr);
    done.stdout + &done.stderr
}

const SMALL: [&str; 9] =
    ["integrate", "--poni", "small.poni", "--npt", "40", "--method", "no", "--device", "cpu"];

/// Sectors of a result of two axes are the patterns that integrating over the same pixels gives.
#[test]
fn sectors_are_what_integration_over_that_range_gives() {
    let folder = tempfile::tempdir().expect("a folder");
    write_small_scan(folder.path(), 6);
    let integrate = |output: &str, more: &[&str]| {
        let options = ["--dummy", "-2", "--delta-dummy", "1.5", "-o", output, "scan"];
        run(folder.path(), &[&SMALL[..], &options, more].concat());
        Patterns::open(&folder.path().join(output)).expect("a result")
    };
    let cakes = integrate("cakes.h5", &["--npt-azim", "36", "--azimuth-range", "-180", "180", "--sums"]);
    let radii = {
        let centres = &cakes.radial().centres;
        let half = (centres[1] - centres[0]) / 2.0;
        [centres[0] - half, centres[39] + half].map(|end| end.to_string())
    };
    let azimuthal = cakes.azimuthal().expect("an azimuthal axis").centres.clone();
    for (low, high) in [(-180.0, 180.0), (40.0, 90.0), (-100.0, 20.0), (160.0, 210.0)] {
        let sector = Sector::between(&azimuthal, low, high).expect("a sector");
        let read = cakes.read_sectors(&[sector], 0..40).expect("readable");
        let ends = [low, high].map(|end| end.to_string());
        let range = ["--radial-range", &radii[0], &radii[1], "--azimuth-range", &ends[0], &ends[1]];
        let name = format!("from{low}to{high}.h5");
        let alone = integrate(&name, &[&range[..], &["--empty", "nan"]].concat());
        let wanted = alone.read(0..40).expect("readable");
        let (mut same, mut numbers) = (0, 0);
        for (found, wanted) in side_by_side(&read, &wanted) {
            numbers += usize::from(wanted.is_finite());
            let is_same = if wanted.is_finite() {
                (found - wanted).abs() <= 2e-6 * wanted.abs()
            } else {
                found.is_nan()
            };
            same += usize::from(is_same);
        }
        assert!(numbers >= 60, "{low}:{high}: a comparison of {numbers} numbers");
        // A pixel on the edge of a bin may be on the other side of it: axes end a rounding step apart.
        assert!(same >= read.len() - 6, "{low}:{high}: {same} of {} are the same", read.len());
    }
}

#[test]
fn pictures_pages_and_info_tell_of_cakes() {
    let folder = tempfile::tempdir().expect("a folder");
    write_small_scan(folder.path(), 12);
    let bins = ["--npt-azim", "12", "--azimuth-range", "-180", "180"];
    let scan = ["--slow", "3", "--fast", "4", "scan", "-o", "cakes.h5"];
    run(folder.path(), &[&SMALL[..], &bins, &scan].concat());
    let plot = |name: &str, more: &[&str]| {
        let said = run(folder.path(), &[&["plot", "cakes.h5", "-o", name], more].concat());
        (said, fs::read_to_string(folder.path().join(name)).expect("a picture"))
    };
    let (said, picture) = plot("overview.svg", &["--log", "--range", "1", "5000"]);
    assert!(said.contains("count alike: the result keeps no norms (integrate --sums does)"), "{said}");
    for words in
        ["Azimuthal angle χ (°)", "Scattering vector q (nm⁻¹)", "Mean of 12 cakes", "all azimuth", "−100"]
    {
        assert!(picture.contains(words), "no `{words}`");
    }
    let (_, picture) = plot("frame.svg", &["pattern", "--frame", "7"]);
    assert!(picture.contains("Frame 7<") && picture.contains("Azimuthal angle χ (°)"));
    let (_, picture) = plot("sector.svg", &["pattern", "--frame", "7", "--sector", "150", "210"]);
    assert!(picture.contains("Frame 7, χ 150 … 210°<") && picture.contains("Intensity"));
    let (_, picture) = plot("sectors.svg", &["--sector", "150", "210"]);
    assert!(picture.contains("All patterns, χ 150 … 210°<"));
    let (_, picture) = plot("map.svg", &["map", "--bin", "20", "--sector", "-90", "0"]);
    assert!(picture.contains("nm⁻¹, χ -90 … 0°<") && picture.contains(">fast<"));
    let (_, picture) = plot("whole.svg", &["map", "--bin", "20"]);
    assert!(picture.contains("nm⁻¹<"));
    for (arguments, words) in [
        (&["--sector", "1", "2"][..], "no azimuthal bin has its centre in 1:2"),
        (&["--sector", "20", "10"], "a sector goes from LOW up to HIGH"),
        (&["pattern", "--frame", "12"], "no such frame"),
    ] {
        let done = xrdct(folder.path(), &[&["plot", "cakes.h5", "-o", "no.png"], arguments].concat());
        assert!(
            done.code == 2 && done.stderr.contains(words),
            "{arguments:?}: {} {}",
            done.code,
            done.stderr
        );
    }
    run(folder.path(), &[&SMALL[..], &["scan", "-o", "one.h5"]].concat());
    let done = xrdct(folder.path(), &["plot", "one.h5", "-o", "no.png", "--sector", "0", "90"]);
    assert!(done.code == 2 && done.stderr.contains("no azimuthal axis"), "{}", done.stderr);
    run(folder.path(), &["report", "cakes.h5", "-o", "page.html"]);
    let page = fs::read_to_string(folder.path().join("page.html")).expect("a page");
    for words in
        ["azimuthal axis", "azimuthal, q, intensity = result", "Mean of 12 cakes", "12 x 40 bins each"]
    {
        assert!(page.contains(words), "no `{words}`");
    }
    let info = run(folder.path(), &["info", "cakes.h5"]);
    assert!(info.contains("3 x 4 x 12 x 40 (slow x fast x azimuthal x radial bins)"), "{info}");
}

mod needs_oracle {
    use super::*;

    /// As pyFAI-diffmap lays out a map of two axes: no statuses, no norms, axes in the order of `map`, χ without a label.
    const DIFFMAP: &str = "
import sys, json, h5py, numpy
with h5py.File(sys.argv[1], 'w') as h5:
    process = h5.create_group('entry_0000/pyFAI')
    process['configuration/data'] = json.dumps({'dummy': -5.0})
    result = process.create_group('result')
    result.attrs['axes'] = ['azimuthal', 'q', 'slow', 'fast']
    values = numpy.arange(2 * 3 * 4 * 5, dtype='float32').reshape(2, 3, 4, 5)
    values[:, :, 1, :] = -5
    values[1, 2, 2, 0] = -5
    result['intensity'] = values
    result['q'] = numpy.linspace(1, 5, 5)
    result['q'].attrs['unit'] = 'nm^-1'
    result['azimuthal'] = numpy.linspace(-135, 135, 4)
    result['azimuthal'].attrs['unit'] = 'deg'
    result['map_ptr'] = numpy.arange(6, dtype='int32').reshape(2, 3)
";

    #[test]
    fn maps_of_pyfai_diffmap_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("diffmap.h5");
        ask_oracle_code(DIFFMAP, &[&path]);
        let patterns = Patterns::open(&path).expect("a map of pyFAI's");
        let azimuthal = &patterns.azimuthal().expect("an azimuthal axis").centres;
        let sectors = [Sector::whole(azimuthal), Sector::between(azimuthal, -90.0, 90.0).expect("a sector")];
        let read = patterns.read_sectors(&sectors, 0..1).expect("readable");
        // Bin 1 is -5 everywhere: no pixel. Bin 2 is so once: a measurement.
        assert_eq!(&read[..2], [25.0_f32 / 3.0, 10.0]);
        assert_eq!(read[11], -5.0);
        assert!(patterns.averaging().expect("two axes").contains("holds -5 in every frame"));
        run(folder.path(), &["plot", "diffmap.h5", "-o", "cakes.svg"]);
        let picture = fs::read_to_string(folder.path().join("cakes.svg")).expect("a picture");
        assert!(picture.contains("Azimuthal angle χ (°)"));
    }
}
