//! Writes frames as DECTRIS detectors do: mini-CBF, byte-offset compressed.
//!
//! The layout was read off real Pilatus frames: CRLF lines, the `# …` header of convention PILATUS_1.2, a
//! MIME-like binary header, the bytes 0C 1A 04 D5, the packed image, 4095 zeros, the closing boundary and
//! `;`. Content-MD5 is that of the packed image. Every key that DECTRIS documents for mini-CBF is written,
//! with values that belong to the simulated experiment.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest, Md5};

use super::instrument::{Instrument, SERIAL_NUMBER};
use super::scene::COUNT_CUTOFF;
use crate::codec::byte_offset;
use crate::frame::Shape;

/// Zeros after the packed image, as DECTRIS writes them.
const PADDING: usize = 4095;

/// Bytes between the binary header and the packed image (CBF 1.5, "binary section").
const MAGIC: [u8; 4] = [0x0C, 0x1A, 0x04, 0xD5];

/// What differs from frame to frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    /// Name of the frame without its ending.
    pub name: String,
    /// ISO 8601 with milliseconds.
    pub date: String,
    /// Rotation of the sample, degrees.
    pub angle: f64,
    /// Translation, m.
    pub position: f64,
}

/// A complete CBF file around `pixels`, which are `shape` in C order.
pub fn file(instrument: &Instrument, moment: &Moment, shape: Shape, pixels: &[i32]) -> Vec<u8> {
    let packed = byte_offset::encode(pixels);
    let md5 = BASE64.encode(Md5::digest(&packed));
    let mut bytes = Vec::with_capacity(packed.len() + 2 * PADDING);
    bytes.extend_from_slice(header(instrument, moment).as_bytes());
    bytes.extend_from_slice(binary_header(packed.len(), &md5, shape).as_bytes());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&packed);
    bytes.resize(bytes.len() + PADDING, 0);
    bytes.extend_from_slice(b"\r\n--CIF-BINARY-FORMAT-SECTION----\r\n;\r\n\r\n");
    bytes
}

/// Lines up to the end of the mini-CBF header.
fn header(instrument: &Instrument, moment: &Moment) -> String {
    let Instrument { detector, sensor, thickness, pixel: [height, width], beam: [beam_x, beam_y], .. } =
        instrument;
    let sensor = if sensor == "Si" { "Silicon" } else { sensor };
    let lines = [
        format!("# Detector: {detector}, S/N {SERIAL_NUMBER}, simulated"),
        format!("# {}", moment.date),
        format!("# Pixel_size {}e-6 m x {}e-6 m", micrometres(*height), micrometres(*width)),
        format!("# {sensor} sensor, thickness {thickness:.6} m"),
        format!("# Exposure_time {:.7} s", instrument.exposure_time),
        format!("# Exposure_period {:.7} s", instrument.exposure_period),
        "# Tau = 0 s".to_owned(),
        format!("# Count_cutoff {COUNT_CUTOFF} counts"),
        format!("# Threshold_setting: {:.0} eV", instrument.threshold()),
        "# Gain_setting: autog (vrf = 1.000)".to_owned(),
        format!("# N_excluded_pixels = {}", instrument.bad_pixels),
        "# Excluded_pixels: badpix_mask.tif".to_owned(),
        "# Flat_field: (nil)".to_owned(),
        "# Trim_file: (nil)".to_owned(),
        format!("# Image_path: {}", instrument.image_path),
        format!("# Wavelength {:.6} A", instrument.wavelength),
        "# Energy_range (0, 0) eV".to_owned(),
        format!("# Detector_distance {:.6} m", instrument.distance),
        "# Detector_Voffset 0.00000 m".to_owned(),
        format!("# Beam_xy ({beam_x:.2}, {beam_y:.2}) pixels"),
        "# Flux 0.0".to_owned(),
        "# Filter_transmission 1.0000".to_owned(),
        format!("# Start_angle {:.4} deg.", moment.angle),
        format!("# Angle_increment {:.4} deg.", instrument.angle_increment),
        "# Detector_2theta 0.0000 deg.".to_owned(),
        format!("# Polarization {:.3}", instrument.polarization),
        "# Alpha 0.0000 deg.".to_owned(),
        "# Kappa 0.0000 deg.".to_owned(),
        format!("# Phi {:.4} deg.", moment.angle),
        format!("# Phi_increment {:.4} deg.", instrument.angle_increment),
        "# Chi 0.0000 deg.".to_owned(),
        "# Chi_increment 0.0000 deg.".to_owned(),
        "# Omega 0.0000 deg.".to_owned(),
        "# Omega_increment 0.0000 deg.".to_owned(),
        "# Oscillation_axis PHI".to_owned(),
        "# N_oscillations 1".to_owned(),
        format!("# Start_position {:.9} m", moment.position),
        format!("# Position_increment {:.9} m", instrument.position_increment),
        "# Shutter_time 0.0000000 s".to_owned(),
    ];
    let mut text = format!(
        "###CBF: VERSION 1.5, CBFlib v0.7.8 - PILATUS detectors\r\n\r\ndata_{}\r\n\r\n\
         _array_data.header_convention \"PILATUS_1.2\"\r\n_array_data.header_contents\r\n;\r\n",
        moment.name
    );
    for line in lines {
        // Writing into a String cannot fail.
        let _ = write!(text, "{line}\r\n");
    }
    text.push_str(";\r\n\r\n");
    text
}

/// A length in micrometres, to the nanometre: `172`, `75`, `100.5`.
fn micrometres(metres: f64) -> f64 {
    (metres * 1e9).round() / 1e3
}

/// Lines from `_array_data.data` to the blank line before the magic bytes.
fn binary_header(size: usize, md5: &str, shape: Shape) -> String {
    [
        "_array_data.data",
        ";",
        "--CIF-BINARY-FORMAT-SECTION--",
        "Content-Type: application/octet-stream;",
        "     conversions=\"x-CBF_BYTE_OFFSET\"",
        "Content-Transfer-Encoding: BINARY",
        &format!("X-Binary-Size: {size}"),
        "X-Binary-ID: 1",
        "X-Binary-Element-Type: \"signed 32-bit integer\"",
        "X-Binary-Element-Byte-Order: LITTLE_ENDIAN",
        &format!("Content-MD5: {md5}"),
        &format!("X-Binary-Number-of-Elements: {}", shape.pixels()),
        &format!("X-Binary-Size-Fastest-Dimension: {}", shape.fast),
        &format!("X-Binary-Size-Second-Dimension: {}", shape.slow),
        &format!("X-Binary-Size-Padding: {PADDING}"),
        "",
        "",
    ]
    .join("\r\n")
}
