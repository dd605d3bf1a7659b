//! Geometry, mask, dark, flat, dummies, saturation: what the options name, read and fitted to the frames.

use super::error::{Concern, OrAbout, SessionError, refuse};
use super::options::{Options, SaturationFrom, is_auto};
use super::own_geometry::own_geometry;
use crate::frame::{Encoding, Shape};
use crate::geometry::detector::Dummy;
use crate::geometry::mask::Mask;
use crate::geometry::poni::Poni;
use crate::geometry::units::Unit;
use crate::integrate::engine::Saturation;
use crate::source::detector_file;
use crate::source::image::read_image_of;
use crate::source::{About, Frames};

/// Where the geometry comes from, for messages: a PONI file, or the configuration that holds it.
pub(super) fn geometry_name(options: &Options) -> String {
    let name = if options.geometry.is_some() { options.config.as_ref() } else { options.poni.as_ref() };
    name.map_or_else(String::new, |path| path.display().to_string())
}

/// The geometry, of a detector that has as many pixels as the frames; notes say what was made of the frames' own words.
pub(super) fn geometry(
    options: &Options,
    of: &dyn Frames,
    notes: &mut Vec<String>,
) -> Result<Poni, SessionError> {
    let frames = of.about().encoding.shape;
    let mut poni = match (&options.geometry, &options.poni) {
        (Some(geometry), _) => geometry.clone(),
        (None, Some(path)) if is_auto(path) => own_geometry(of, notes)?,
        (None, Some(path)) => Poni::read(path).or_about(Concern::Calibration)?,
        (None, None) => refuse!(
            Usage,
            "no geometry: name a PONI file with --poni FILE.poni, or let --poni auto take what the frames say"
        ),
    };
    describe(&mut poni)?;
    if let Some(shape) = poni.detector.shape
        && shape != frames
    {
        refuse!(
            Calibration,
            "{}: its detector {} has {shape} pixels, the frames have {frames}; is this the PONI of these frames?",
            geometry_name(options),
            poni.detector.name
        );
    }
    Ok(poni)
}

/// Reads the NeXus file that describes the detector, if one does.
pub(super) fn describe(poni: &mut Poni) -> Result<(), SessionError> {
    let Some(file) = &poni.detector.file else { return Ok(()) };
    let content =
        detector_file::read(&file.path).or_about_in(Concern::Calibration, "the detector of the PONI")?;
    poni.detector.describe(content);
    if let Err(why) = poni.check_parallax() {
        refuse!(Calibration, "{}: parallax cannot be corrected: {why}", poni.detector.name);
    }
    Ok(())
}

/// What the detector's own file says of flat and dark, where the user names none.
pub(super) fn own_image(named: Option<Vec<f32>>, own: Option<&Vec<f32>>, shape: Shape) -> Option<Vec<f32>> {
    named.or_else(|| own.filter(|own| own.len() == shape.pixels()).cloned())
}

/// The radial unit, one that the geometry can give.
pub(super) fn unit(options: &Options, poni: &Poni) -> Result<Unit, SessionError> {
    let unit: Unit = match &options.unit {
        Some(name) => name.parse().or_about(Concern::Usage)?,
        None => Unit::QNm,
    };
    if unit.needs_wavelength() && poni.wavelength.is_none() {
        refuse!(
            Calibration,
            "{}: no Wavelength, which unit {} needs; add it to the PONI or choose 2th_deg or r_mm",
            geometry_name(options),
            unit.name()
        );
    }
    Ok(unit)
}

/// The user's mask or the detector's own; a user's replaces it, as in pyFAI, unless they are to be combined.
pub(super) fn mask(
    options: &Options,
    poni: &Poni,
    of: &dyn Frames,
    notes: &mut Vec<String>,
) -> Result<Option<Mask>, SessionError> {
    let (about, mut own) = (of.about(), poni.detector.mask());
    let shape = about.encoding.shape;
    if let Some(bad) = about.facts.pixel_mask.as_ref().filter(|bad| bad.len() == shape.pixels()) {
        let bad = Mask { shape, masked: bad.iter().map(|bits| *bits != 0).collect() };
        own = Some(match own {
            Some(own) => own.union(&bad).or_about(Concern::Calibration)?,
            None => bad,
        });
    }
    if own.as_ref().is_some_and(|own| own.count() == shape.pixels()) {
        refuse!(Calibration, "{}: its pixel_mask leaves no pixel", of.origin(0));
    }
    let Some(name) = &options.mask else { return Ok(own) };
    let image = read_image_of(name, shape).or_about_in(Concern::Calibration, "the mask")?;
    let mut mask = Mask::from_values(shape, &image.data).or_about(Concern::Calibration)?;
    if let Some(own) = own {
        if options.combine_mask == Some(true) {
            mask = mask.union(&own).or_about(Concern::Calibration)?;
        } else {
            let let_in = own.masked.iter().zip(&mask.masked).filter(|(own, user)| **own && !**user).count();
            if let_in > 0 {
                let has_dummy = poni.detector.dummy(about.encoding.pixel).is_some();
                let still = if has_dummy { " (gaps are still ignored by their dummy values)" } else { "" };
                notes.push(format!(
                    "--mask replaces the mask of {}, as in pyFAI: {let_in} pixels that the detector masks are let in{still}; \
                     --combine-mask applies both",
                    poni.detector.name
                ));
            }
        }
    }
    if mask.count() == shape.pixels() {
        refuse!(Calibration, "{name}: the mask leaves no pixel (non-zero means masked)");
    }
    Ok(Some(mask))
}

/// Mean of the images of a list.
pub(super) fn average(files: &[String], what: &str, shape: Shape) -> Result<Option<Vec<f32>>, SessionError> {
    if files.is_empty() {
        return Ok(None);
    }
    let mut sum = vec![0.0_f64; shape.pixels()];
    for name in files {
        let image = read_image_of(name, shape).or_about_in(Concern::Calibration, format!("the {what}"))?;
        sum.iter_mut().zip(&image.data).for_each(|(sum, value)| *sum += value);
    }
    let count = files.len() as f64;
    Ok(Some(sum.iter().map(|sum| (sum / count) as f32).collect()))
}

/// Values that mean "not measured": the user's, else the detector's own.
pub(super) fn dummy(options: &Options, poni: &Poni, about: &About, notes: &mut Vec<String>) -> Option<Dummy> {
    let own = poni.detector.dummy(about.encoding.pixel);
    if options.dummy.is_none() && own.is_some_and(|own| own.matches(0.0)) {
        notes.push(format!(
            "pixels without a count are left out, as pyFAI does for {}; --dummy -1 lets them in",
            poni.detector.name
        ));
    }
    let (encoding, bit_depth) = (about.encoding, about.facts.bit_depth);
    match (options.dummy, options.delta_dummy) {
        (Some(value), delta) => Some(Dummy::new(value, delta.unwrap_or(0.0))),
        (None, _) => own.or_else(|| not_counted(encoding, bit_depth?)),
    }
}

/// The largest values of pixels that count with so many bits: 2ⁿ − 1, − 2 and − 3, as DECTRIS uses them and pyFAI leaves them out.
fn not_counted(encoding: Encoding, bits: u32) -> Option<Dummy> {
    let is_unsigned = encoding.pixel.name().starts_with('u');
    (is_unsigned && (8..=32).contains(&bits)).then(|| Dummy::new((1_u64 << bits) as f64 - 2.0, 1.5))
}

/// From which count on pixels are saturated. The first frame's header speaks for those that say nothing themselves.
pub(super) fn saturation(options: &Options, frames: &dyn Frames) -> Result<Saturation, SessionError> {
    let cutoff = frames.about().header.count_cutoff.map_or(f32::INFINITY, |cutoff| cutoff as f32);
    match options.saturation {
        None => Ok(Saturation { cutoff, by_header: true, masked: false }),
        Some(SaturationFrom::Count(count)) => {
            Ok(Saturation { cutoff: count as f32, by_header: false, masked: true })
        }
        Some(SaturationFrom::Header(_)) if cutoff.is_finite() => {
            Ok(Saturation { cutoff, by_header: true, masked: true })
        }
        Some(SaturationFrom::Header(_)) => refuse!(
            Input,
            "--saturation header: {}: its header has no Count_cutoff; give a number of counts",
            frames.origin(0)
        ),
    }
}
