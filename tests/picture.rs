//! Pictures: what is where, and what strange data do to them.

use xrdct::picture::axis::{label, number, ticks};
use xrdct::picture::colour::{ColourMap, NOTHING};
use xrdct::picture::heatmap::{Heatmap, limits};
use xrdct::picture::report::{Section, page};
use xrdct::picture::svg::{Anchor, Style, Svg};

fn pixels(png: &[u8]) -> (u32, u32, Vec<u8>) {
    let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().expect("a PNG");
    let mut buffer = vec![0; reader.output_buffer_size().expect("a size")];
    let info = reader.next_frame(&mut buffer).expect("an image");
    (info.width, info.height, buffer)
}

#[test]
fn row_zero_is_drawn_at_the_bottom() {
    let mut values = vec![0.0_f32; 12];
    values[0] = 1.0;
    let map = Heatmap {
        values: &values,
        columns: 4,
        limits: Some((0.0, 1.0)),
        map: ColourMap::Viridis,
        log: false,
    };
    let (width, height, rgb) = pixels(&map.png().expect("drawn"));
    assert_eq!((width, height), (4, 3));
    let at = |x: usize, y: usize| [rgb[3 * (4 * y + x)], rgb[3 * (4 * y + x) + 1], rgb[3 * (4 * y + x) + 2]];
    assert_eq!(at(0, 2), ColourMap::Viridis.at(1.0), "the lower left");
    assert_eq!(at(0, 0), ColourMap::Viridis.at(0.0), "the upper left");
    assert_eq!(at(3, 2), ColourMap::Viridis.at(0.0), "the lower right");
}

#[test]
fn strange_numbers_make_a_picture_all_the_same() {
    let strange = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -1e30, 1e30, 1e-30, 5.0];
    for log in [false, true] {
        let map = Heatmap { values: &strange, columns: 4, limits: None, map: ColourMap::Cividis, log };
        let rgb = pixels(&map.png().expect("drawn")).2;
        assert_eq!(rgb[12..15], NOTHING, "NaN is grey");
    }
    assert!(limits(&[f32::NAN; 4]).0 < limits(&[f32::NAN; 4]).1);
    assert!(limits(&[7.0; 4]).0 < limits(&[7.0; 4]).1);
    let short = Heatmap { values: &strange[..7], columns: 4, limits: None, map: ColourMap::Grey, log: false };
    assert!(short.png().is_err());
}

#[test]
fn ticks_are_round_few_and_inside() {
    for (low, high) in
        [(0.0, 1.0), (-3.3, 7.9), (1e-30, 3e-30), (-1e9, 5e12), (0.1, 0.1003), (174.0, 0.0), (f64::NAN, 1.0)]
    {
        let found = ticks(low, high, 6);
        assert!(found.len() <= 13, "{low} {high}: {found:?}");
        assert!(
            found.iter().all(|t| *t >= low - 1e-9 * low.abs() && *t <= high + 1e-9 * high.abs()),
            "{found:?}"
        );
        assert!(low.is_nan() || high <= low || found.len() >= 2, "{low} {high}: {found:?}");
    }
    let marks = [0.0, 0.5, 1.0];
    assert_eq!(marks.map(|m| number(m, &marks)), ["0", "0.5", "1.0"]);
    assert_eq!(number(-2.0, &[-2.0, -1.0]), "−2");
    assert_eq!(number(2e7, &[1e7, 2e7]), "2·10⁷");
    assert_eq!(label("Scattering vector $q$ ($\\AA^{-1}$)"), "Scattering vector q (Å⁻¹)");
}

#[test]
fn hostile_names_stay_text() {
    let name = "<script>alert('&\"')</script>\u{0}\u{1b}";
    let mut svg = Svg::new(200.0, 100.0);
    svg.text((10.0, 20.0), Style::plain(12.0, Anchor::Start), name);
    let (width, height, _) = pixels(&svg.png(1.0).expect("well-formed, so that it can be drawn"));
    assert_eq!((width, height), (200, 100));
    let html = page(
        name,
        &[
            Section::Text(name.into()),
            Section::Table(vec![(name.into(), name.into())]),
            Section::Code(name.into()),
        ],
    );
    assert!(!html.contains("<script") && !svg.finish().contains("<script"));
}
