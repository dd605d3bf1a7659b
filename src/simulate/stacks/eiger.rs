//! The master of DECTRIS' first file writer: an external link a data file, and `detectorSpecific`, where the detector's own words are.

use hdf5::File;

use super::axes::{column, quantity};
use super::count_cutoff;
use super::master::Contents;
use crate::output::nexus;
use crate::simulate::series::date;
use crate::simulate::view::PanelAxes;

/// Axes of the goniometer that do not move, as phi does.
const STILL: [&str; 3] = ["chi", "kappa", "omega"];

/// Writes it into an empty file.
pub(super) fn write(file: &File, contents: &Contents<'_>) -> hdf5::Result<()> {
    let instrument = contents.instrument;
    nexus::attribute(file, "default", "entry")?;
    let entry = nexus::group(file, "entry", "NXentry")?;
    nexus::attribute(&entry, "default", "data")?;
    let definition = nexus::text(&entry, "definition", "NXmx")?;
    nexus::attribute(&definition, "version", "1.4")?;

    let data = nexus::group(&entry, "data", "NXdata")?;
    nexus::attribute(&data, "signal", "data_000001")?;
    for (part, (name, _)) in contents.data.iter().enumerate() {
        data.link_external(name, "/entry/data/data", &format!("data_{:06}", part + 1))?;
    }

    let place = nexus::group(&entry, "instrument", "NXinstrument")?;
    contents.write_beam(&place)?;
    let detector = nexus::group(&place, "detector", "NXdetector")?;
    contents.write_detector(&detector)?;
    contents.write_distance(&detector, "detector_distance")?;
    contents.write_serial_number(&detector, "detector_number")?;
    contents.write_place(&detector)?;

    let geometry = nexus::group(&detector, "geometry", "NXgeometry")?;
    let PanelAxes { corner, fast, slow } = instrument.panel;
    let orientation = nexus::group(&geometry, "orientation", "NXorientation")?;
    nexus::numbers(&orientation, "value", [6], &[fast, slow].concat())?;
    let translation = nexus::group(&geometry, "translation", "NXtranslation")?;
    column(&translation, "distances", &corner, "m")?;

    let specific = nexus::group(&detector, "detectorSpecific", "NXcollection")?;
    contents.write_pixel_mask(&specific)?;
    quantity(&specific, "photon_energy", instrument.energy(), "eV")?;
    nexus::text(&specific, "data_collection_date", &date(0, instrument.exposure_period))?;
    nexus::text(&specific, "compression", "bslz4")?;
    nexus::text(&specific, "trigger_mode", "ints")?;
    nexus::text(&specific, "software_version", concat!("xrdct ", env!("CARGO_PKG_VERSION")))?;
    nexus::number(&specific, "auto_summation", 1_i8)?;
    let numbers = [
        ("countrate_correction_count_cutoff", count_cutoff(contents.depth) as usize),
        ("nimages", contents.shots.len()),
        ("ntrigger", 1),
        ("number_of_excluded_pixels", instrument.bad_pixels),
        ("x_pixels_in_detector", contents.shape.fast),
        ("y_pixels_in_detector", contents.shape.slow),
    ];
    for (name, number) in numbers {
        nexus::number(&specific, name, number as u64)?;
    }

    let sample = contents.write_sample(&entry)?;
    let goniometer = nexus::group(&sample, "goniometer", "NXtransformations")?;
    column(&goniometer, "phi", &contents.angles(), "degree")?;
    column(&goniometer, "phi_end", &contents.ends(), "degree")?;
    quantity(&goniometer, "phi_range_average", instrument.angle_increment, "degree")?;
    quantity(&goniometer, "phi_range_total", contents.range(), "degree")?;
    let still = vec![0.0; contents.shots.len()];
    for name in STILL {
        column(&goniometer, name, &still, "degree")?;
        quantity(&goniometer, &format!("{name}_range_average"), 0.0, "degree")?;
    }
    Ok(())
}
